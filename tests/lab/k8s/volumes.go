package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// openVolumes makes every folder that appears in dir writable for all users.
//
// The provisioner for host paths makes its folders 0750 root, and the kubelet
// applies no fsGroup to host paths, so a pod of another user could not write to
// its own volume. Storage of a real cluster has no such trap.
func openVolumes(dir string) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	if err := watcher.Add(dir); err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	// Those made before the watch began.
	folders, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, folder := range folders {
		open(folder)
	}
	for event := range watcher.Events {
		if event.Has(fsnotify.Create) {
			open(event.Name)
		}
	}
	return fmt.Errorf("the watch of %s ended", dir)
}

func open(folder string) {
	if err := os.Chmod(folder, 0o777); err != nil && !os.IsNotExist(err) {
		fmt.Fprintln(os.Stderr, err)
	}
}
