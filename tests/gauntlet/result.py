"""What a run found out."""


class Result:
    def __init__(self, number):
        self.number = number
        self.reasons = []
        self.notes = []
        self.uri = self.service = None  # ms
        self.acknowledged = self.lost = 0
        self.double = 0
        self.seconds = 0.0
        self.split = {}  # of the seconds: preparing, clients, fault, healing, judging
        self.changes = 0
        self.load = 0.0
        self.hit = True
        self.commit = ""

    @property
    def passed(self):
        return not self.reasons

    def as_json(self):
        return {"run": self.number, "commit": self.commit, "passed": self.passed, "hit": self.hit, "outageUriMs": self.uri,
                "outageServiceMs": self.service, "acknowledged": self.acknowledged, "lost": self.lost,
                "doubleWrites": self.double, "changesOfMaster": self.changes,
                "seconds": round(self.seconds, 1), "split": self.split, "load": round(self.load, 1), "reasons": self.reasons, "notes": self.notes}


    @classmethod
    def from_json(cls, kept):
        one = cls(kept["run"])
        one.commit, one.hit, one.reasons, one.notes = kept["commit"], kept["hit"], kept["reasons"], kept["notes"]
        one.uri, one.service = kept["outageUriMs"], kept["outageServiceMs"]
        one.acknowledged, one.lost, one.double = kept["acknowledged"], kept["lost"], kept["doubleWrites"]
        one.split = kept.get("split", {})
        one.changes, one.seconds, one.load = kept["changesOfMaster"], kept["seconds"], kept["load"]
        return one
