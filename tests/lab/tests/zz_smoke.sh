# lab: sim="--model source=0-63=ramp"
modprobe oni_riffa; sleep 3; dmesg | tail -30; ls -l /dev/oni* ; for f in /sys/class/oni/oni0/*; do [ -f $f ] && echo $f $(cat $f); done; head -v -n 100 /sys/class/oni/oni0/stats/*
timeout 5 dd if=/dev/oni0 bs=4096 count=200 of=/dev/null; head -v -n 100 /sys/class/oni/oni0/stats/*
rmmod oni_riffa; rmmod oni; dmesg | tail -5
echo 1..1; echo ok 1
