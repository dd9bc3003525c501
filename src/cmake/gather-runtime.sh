#!/bin/sh
# Usage: gather-runtime.sh ROOT PROGRAM...
#
# Fills ROOT, the whole file system of the image: the programs in opt/matriarch/bin, every shared
# library that they need and the loader in opt/matriarch/lib, and the few files that glibc and
# OpenSSL look for. opt/matriarch runs from any folder, under any libc of the image around it:
#     DIR/lib/ld.so --library-path DIR/lib DIR/bin/matriarch-agent
# Nothing here names an architecture: the loader is ld.so everywhere.
set -eu

[ $# -ge 2 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
root=$1
shift
bin=$root/opt/matriarch/bin
lib=$root/opt/matriarch/lib
mkdir -p "$bin" "$lib" "$root/etc/ssl/certs" "$root/usr/lib/ssl" "$root/tmp"
chmod 1777 "$root/tmp"

interpreter() {
    readelf -lW "$1" | sed -n 's/.*program interpreter: \(.*\)\]/\1/p'
}

for program in "$@"; do
    strip -o "$bin/$(basename "$program")" "$program"
    chmod 755 "$bin/$(basename "$program")"
    if ldd "$program" | grep -q 'not found'; then
        echo "$program lacks libraries:" >&2
        ldd "$program" | grep 'not found' >&2
        exit 1
    fi
    ldd "$program" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' >> "$root/libraries"
done
loader=$(interpreter "$1")
libc=$(dirname "$(ldd "$1" | sed -n 's/.*libc\.so\.6 => \(\/[^ ]*\) .*/\1/p')")
# glibc opens these by name when it resolves hosts.
for name in libnss_dns.so.2 libnss_files.so.2 libresolv.so.2; do
    [ -e "$libc/$name" ] && echo "$libc/$name" >> "$root/libraries"
done
sort -u "$root/libraries" | while read -r path; do
    cp -L "$path" "$lib/$(basename "$path")"
done
rm "$root/libraries"
cp -L "$loader" "$lib/ld.so"
chmod 755 "$lib"/*

# Started by name, a program finds its loader where its ELF header says, and its libraries by cache.
mkdir -p "$root$(dirname "$loader")"
ln -s /opt/matriarch/lib/ld.so "$root$loader"
echo /opt/matriarch/lib > "$root/etc/ld.so.conf"
ldconfig -r "$root" -X

echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
echo 'matriarch:x:65532:65532::/:/' > "$root/etc/passwd"
echo 'matriarch:x:65532:' > "$root/etc/group"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
ln -s ../../../etc/ssl/certs "$root/usr/lib/ssl/certs"
ln -s ../../../etc/ssl/certs/ca-certificates.crt "$root/usr/lib/ssl/cert.pem"
