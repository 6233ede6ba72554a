//! Configurations by topic: each construct of the language right, at its limits, and wrong.

/// The kind of guest that a topic is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// PV.
    Pv,
    /// HVM.
    Hvm,
    /// PVH.
    Pvh,
    /// None is given: the lines are the whole configuration.
    Bare,
}

impl Guest {
    /// The lines that every such guest has.
    pub fn base(self) -> &'static str {
        match self {
            Guest::Pv => {
                "name=\"p\"\nkernel=\"/boot/k\"\nuuid=\"01234567-89ab-cdef-0123-456789abcdef\"\nmemory=128\nvcpus=2\n"
            }
            Guest::Hvm => {
                "name=\"h\"\ntype=\"hvm\"\nuuid=\"01234567-89ab-cdef-0123-456789abcdef\"\nmemory=1024\nvcpus=4\n"
            }
            Guest::Pvh => {
                "name=\"v\"\ntype=\"pvh\"\nkernel=\"/boot/k\"\nuuid=\"01234567-89ab-cdef-0123-456789abcdef\"\nmemory=256\n"
            }
            Guest::Bare => "",
        }
    }
}

/// Configurations that differ in one place.
pub struct Topic {
    /// What it is about.
    pub name: &'static str,
    /// The kind of guest.
    pub guest: Guest,
    /// Lines; `{}` is where the values go.
    pub lines: &'static str,
    /// The values.
    pub values: &'static [&'static str],
}

/// One configuration.
#[derive(Clone, Debug)]
pub struct Case {
    /// Topic and number.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Topic {
    /// Its configurations.
    pub fn cases(&self) -> impl Iterator<Item = Case> + '_ {
        self.values.iter().enumerate().map(|(n, value)| Case {
            name: format!("{}-{n}", self.name),
            text: format!("{}{}\n", self.guest.base(), self.lines.replace("{}", value)),
        })
    }
}

/// Every configuration of every topic.
pub fn all() -> Vec<Case> {
    TOPICS.iter().flat_map(Topic::cases).collect()
}

const fn pv(name: &'static str, lines: &'static str, values: &'static [&'static str]) -> Topic {
    Topic { name, guest: Guest::Pv, lines, values }
}

const fn hvm(name: &'static str, lines: &'static str, values: &'static [&'static str]) -> Topic {
    Topic { name, guest: Guest::Hvm, lines, values }
}

const fn pvh(name: &'static str, lines: &'static str, values: &'static [&'static str]) -> Topic {
    Topic { name, guest: Guest::Pvh, lines, values }
}

const fn bare(name: &'static str, lines: &'static str, values: &'static [&'static str]) -> Topic {
    Topic { name, guest: Guest::Bare, lines, values }
}

const YES_NO: &[&str] = &["1", "0", "7", "'1'", "\"no\""];
const ACTION: &[&str] = &[
    "destroy",
    "restart",
    "rename-restart",
    "preserve",
    "coredump-destroy",
    "coredump-restart",
    "soft-reset",
    "Destroy",
    "stop",
];

/// Every topic.
#[rustfmt::skip]
pub const TOPICS: &[Topic] = &[
    // What a guest is.
    bare("least", "{}uuid=\"01234567-89ab-cdef-0123-456789abcdef\"", &["", "name=\"n\"\n", "kernel=\"/k\"\n", "name=\"n\"\nkernel=\"/k\"\n", "name=\"n\"\nbootloader=\"pygrub\"\n"]),
    bare("type", "name=\"n\"\nkernel=\"/k\"\nuuid=\"01234567-89ab-cdef-0123-456789abcdef\"\ntype=\"{}\"", &["pv", "hvm", "pvh", "", "h", "p", "pvhx", "PV"]),
    bare("builder", "name=\"n\"\nkernel=\"/k\"\nuuid=\"01234567-89ab-cdef-0123-456789abcdef\"\nbuilder={}", &["\"hvm\"", "\"generic\"", "\"linux\"", "\"hvm\"\ntype=\"pv\"", "\"hvm\"\ntype=\"hvm\""]),
    bare("uuid", "name=\"n\"\nkernel=\"/k\"\nuuid=\"{}\"", &["ABCDEF01-2345-6789-abcd-ef0123456789", "nonsense", "0123", "0123456789abcdef0123456789abcdef"]),
    pv("label", "{}", &["init_seclabel=\"i\"", "seclabel=\"s\"", "init_seclabel=\"i\"\nseclabel=\"s\""]),
    pv("pool", "pool=\"{}\"", &["Pool-0", "3"]),
    pv("driver-domain", "driver_domain={}", YES_NO),
    hvm("hap", "hap={}", YES_NO), hvm("oos", "oos={}", YES_NO),
    pv("evtchn-compat", "xend_suspend_evtchn_compat={}", YES_NO),
    pv("poweroff", "on_poweroff=\"{}\"", ACTION), pv("reboot", "on_reboot=\"{}\"", ACTION),
    pv("crash", "on_crash=\"{}\"", ACTION), pv("watchdog", "on_watchdog=\"{}\"", ACTION),
    pv("soft-reset", "on_soft_reset=\"{}\"", ACTION),
    // Memory and processors.
    hvm("memory", "{}", &["maxmem=2048", "memory=0", "videoram=32", "shadow_memory=16", "rdm_mem_boundary=1024", "memory=\"512\""]),
    pv("vcpus", "{}", &["vcpus=0", "maxvcpus=5", "maxvcpus=1", "vcpus=129", "vcpus=\"-2\"", "vcpus=8\nmaxvcpus=9", "vcpus=-1"]),
    pv("cpus", "cpus={}", &["\"0-5,^3\"", "\"all\"", "\"all,^0\"", "\"^all\"", "\"5-2\"", "\"node:1\"", "\"nodes:0-1,^nodes:0\"", "3", "\"x\"", "[\"1\",\"2-3\",\"4\"]", "[\"1\"]", "\"0-100\"", "\"nodes:9\"", "\"\"", "\"^1\"", "\"nodes:all\"", "[\"1\",\"y\"]", "\"1,,2\""]),
    pv("cpus-soft", "cpus_soft={}", &["\"2\"", "[\"0\",\"1\"]", "\"bad\""]),
    pv("scheduler", "{}", &["cpu_weight=256", "cap=75", "period=10000", "slice=5", "latency=6", "extratime=1", "cpu_weight=\"x\"", "cap=\"-1\""]),
    hvm("vnuma", "maxvcpus=4\nvnuma=[{}]", &[
        "[\"pnode=0\",\"size=512\",\"vcpus=0-1\",\"vdistances=10,20\"],[\"pnode=1\",\"size=512\",\"vcpus=2,3\",\"vdistances=20,10\"]",
        "[\"pnode=0\",\"size=1024\",\"vcpus=0-3\",\"vdistances=10\"]", "[\" pnode = 1 \",\"size = 1024\",\"vcpus= 0-3\"]",
        "[\"pnode=2\",\"size=1024\",\"vcpus=0-3\"]", "[\"pnode=0\",\"size=1024\",\"vcpus=0-1\"]", "\"pnode=0\"", "[\"size\"]",
        "[\"unknown=1\",\"size=1024\",\"vcpus=0-3\"]", "[\"pnode=x\",\"size=1024\",\"vcpus=0-3\"]", "[\"size=1024=2\",\"vcpus=0-3\"]", ""]),
    hvm("vnuma-maxmem", "maxmem={}\nmaxvcpus=4\nvnuma=[[\"size=1024\",\"vcpus=0-3\",\"vdistances=10\"]]", &["1024", "2048"]),
    hvm("vnuma-counts", "vnuma=[[\"size=1024\",\"vcpus={}\",\"vdistances=10\"]]", &["0-3", "0-7", "0-8", "0"]),
    pv("passthrough", "passthrough=\"{}\"", &["default", "disabled", "enabled", "sync_pt", "share_pt", "Share_PT", "maybe"]),
    pv("grants", "{}", &["max_grant_frames=32", "max_maptrack_frames=0", "max_grant_version=1", "max_grant_frames=\"-1\"", "max_grant_frames=\"many\"", "max_maptrack_frames=2147483648", "max_grant_version=[]", "max_grant_frames=-1"]),
    pv("event-channels", "max_event_channels={}", &["4095", "\"x\""]),
    pv("vmtrace", "vmtrace_buf_kb={}", &["128", "0", "\"x\""]),
    pv("vpmu", "vpmu={}", YES_NO), pv("migrate", "nomigrate={}", YES_NO),
    pv("msr", "msr_relaxed={}", YES_NO),
    // Time.
    pv("tsc", "tsc_mode={}", &["0", "1", "2", "3", "4", "\"default\"", "\"always_emulate\"", "\"native\"", "\"NATIVE_PARAVIRT\"", "\"fast\"", "[1]"]),
    hvm("timer", "timer_mode={}", &["0", "1", "2", "3", "4", "\"delay_for_missed_ticks\"", "\"no_missed_ticks_pending\"", "\"unknown\"", "\"late\""]),
    pv("timer-pv", "timer_mode={}", &["1", "\"no_delay_for_missed_ticks\""]),
    hvm("clock", "{}", &["rtc_timeoffset=3600", "rtc_timeoffset=\"-3600\"", "localtime=1", "hpet=0", "vpt_align=0"]),
    // What it boots.
    pv("cmdline", "{}", &["cmdline=\"quiet\"", "root=\"/dev/xvda1\"", "extra=\"ro\"", "root=\"/dev/xvda1\"\nextra=\"ro\"", "cmdline=\"quiet\"\nroot=\"/dev/xvda1\"", "ramdisk=\"/boot/r\"", "device_tree=\"/dt\""]),
    pv("bootloader", "bootloader=\"pygrub\"\nbootloader_args={}", &["[\"-q\",\"two words\"]", "\"-q --offset 0\\t-x\"", "[]", "3"]),
    hvm("firmware", "firmware=\"{}\"", &["ovmf", "seabios", "rombios", "uefi", "bios", "u", "b", "", "/fw.bin", "OVMF"]),
    bare("firmware-pv", "name=\"n\"\nuuid=\"01234567-89ab-cdef-0123-456789abcdef\"\nfirmware=\"{}\"", &["pvgrub32", "pvgrub64", "pvgrub", "seabios"]),
    pv("firmware-kernel", "firmware=\"{}\"", &["pvgrub64"]),
    hvm("bios", "{}", &["bios=\"seabios\"", "bios=\"ROMBIOS\"", "bios=\"unknown\"", "bios=\"coreboot\"", "bios_path_override=\"/b\"", "bios_path_override=\"/b\"\nbios=\"ovmf\"", "firmware_override=\"/f\"", "kernel=\"/usr/lib/hvmloader\"", "kernel=\"/k\"\nramdisk=\"/r\""]),
    pvh("shim", "{}", &["pvshim=1", "pvshim=1\npvshim_path=\"/s\"\npvshim_cmdline=\"c\"\npvshim_extra=\"e\""]),
    pv("shim-pv", "pvshim={}", &["1"]),
    // The platform.
    hvm("switches", "pae=1\nacpi=0\nacpi_s3=1\nacpi_s4=0\nacpi_laptop_slate=1\nnx=1\napic=0\nnestedhvm={}", &["0", "1"]),
    hvm("viridian", "viridian={}", &["1", "0", "[\"base\"]", "[\"base\",\"freq\",\"!base\"]", "[\"all\"]", "[\"all\",\"!synic\"]", "[\"defaults\",\"stimer\"]", "[\"unheard\"]", "[]", "\"x\""]),
    hvm("mmio-hole", "mmio_hole={}", &["255", "256", "1024", "3840", "3841"]),
    hvm("altp2m", "{}", &["altp2m=0", "altp2m=2", "altp2m=4", "altp2m=\"mixed\"", "altp2m=\"LIMITED\"", "altp2m=\"other\"", "altp2mhvm=1"]),
    hvm("genid", "ms_vm_genid=\"{}\"", &["none", "random"]),
    hvm("mca", "mca_caps={}", &["[\"lmce\"]", "[]", "[\"other\"]", "\"lmce\""]),
    hvm("tables", "{}", &["smbios_firmware=\"/s\"", "acpi_firmware=\"/a\""]),
    hvm("vendor", "vendor_device=\"{}\"", &["none", "xenserver", "acme"]),
    hvm("platform-device", "xen_platform_pci={}", YES_NO),
    pv("e820", "e820_host={}", YES_NO),
    pv("arm", "{}", &["gic_version=\"v2\"", "gic_version=\"v9\"", "tee=\"optee\"", "tee=\"x\"", "vuart=\"sbsa_uart\"", "vuart=\"x\"", "dtdev=[\"/soc/a\",\"/soc/b\"]"]),
    // Host devices.
    pv("pci", "pci=[\"{}\"]", &["03:00.0", "0001:03:1f.7", "03:00.0@1f", "03:00.*", "03:00.0,permissive=1", "03:00.0,msitranslate=1,seize=0,power_mgmt=1", "03:00.0,rdm_policy=relaxed", "03:00.0,rdm_policy=lax", "bdf=03:00.0,vslot=5", "name=card", "bdf=03:00.0,name=card", "nonsense", "03:20.0", "03:00.9", "100:00.0", "10000:03:00.0", "03:00.0@20", "03:00.0,colour=red", "03:00.0,seize", "", "03:00.0,"]),
    pv("pci-options", "pci_permissive={}\npci_msitranslate=1\npci_power_mgmt=0\npci_seize=1\npci=[\"03:00.0\",\"04:00.0,seize=0\"]", &["1", "0"]),
    hvm("pci-hvm", "pci=[\"{}\"]", &["03:00.0", "03:00.0,rdm_policy=strict"]),
    hvm("rdm", "rdm=\"{}\"", &["strategy=none", "colour=red", "strategy"]),
    pv("ioports", "ioports=[{}]", &["\"60\"", "\"3f8-3ff\"", "\"60\",\"64\"", "\"60-\"", "\"port\"", "\"60z\"", "\"60-64z\"", "\"1ffffffff\"", "1016", "[\"60\"]"]),
    pv("irqs", "irqs=[{}]", &["9", "\"9\"", "9,10", "\"9x\"", "\"4294967295\"", "\"x\"", "[9]"]),
    pv("iomem", "iomem=[\"{}\"]", &["a0,2", "0xa0,0x2", "a0,2@b0", "a0", "a0,2@", "a0,2z", "z"]),
    // Disks.
    pv("disk", "disk=[\"{}\"]", &[
        "/a,raw,xvda,rw", "/a,,xvda,", "/a,raw,xvda", "/a,qcow2,xvda,r", "/a,vhd,xvda,ro", "/a,qed,xvda,w", "/a,empty,hda", "/a,raw,hdc:cdrom,r",
        "/a,raw,hda:disk,w", "/a,raw,hda:tape,w", ",hdc:cdrom,r", ",raw,hdc:cdrom", "phy:/dev/vg/l,xvda,w", "file:/a,hda,r", "tap:aio:/a,xvda", "tap2:tapdisk:/a,xvda", "ioemu:/a,hda",
        "raw:/a,xvda", "qcow:/a,xvda", "qcow2:/a,raw,xvda", "vhd:/a,xvda", "iscsi:t,xvda", "nbd:t,xvda", "enbd:t,xvda", "drbd:t,xvda", "odd:/a,xvda", "odd:t,xvda",
        "/a,unknown,xvda", "/a,raw,xvda,x", "/a,raw,xvda,w,more", "vdev=xvda,target=/a,b,c", "vdev=xvda,target=/a,", "vdev=xvda", "vdev=hdc,cdrom", "vdev=hdc,devtype=cdrom,target=", "vdev=hdc,devtype=tape",
        "format=qcow2,vdev=xvda,access=ro,target=/a", "format=raw,format=qcow,vdev=xvda,target=/a", "vdev=xvda,vdev=xvdb,target=/a", "access=rw,access=ro,vdev=xvda,target=/a",
        "backend=dd,vdev=xvda,target=/a", "backendtype=phy,vdev=xvda,target=/a", "backendtype=standalone,specification=virtio,vdev=xvda,target=/a", "backendtype=disk,vdev=xvda,target=/a",
        "script=block-x,vdev=xvda,target=/a", "script=a,script=b,vdev=xvda,target=/a", "direct-io-safe,discard,vdev=xvda,target=/a", "no-discard,vdev=xvda,target=/a",
        "colo,colo-host=h,colo-port=90,colo-export=e,active-disk=a,hidden-disk=b,vdev=xvda,target=/a", "no-colo,vdev=xvda,target=/a", "colo-port=none,vdev=xvda,target=/a",
        "colour=red,vdev=xvda,target=/a", "a=b,raw,xvda", "cdrom=1,vdev=hdc", "", " ", " /a , raw , xvda , w", "/a, raw, xvda, w", "specification=scsi,vdev=xvda,target=/a"]),
    pv("disks", "disk={}", &["[\"/a,raw,xvda\",\"/b,raw,xvdb\"]", "\"/a,raw,xvda\"", "[]", "[\"/a,raw,xvda\",[\"/b,raw,xvdb\"],\"/c,raw,xvdc\"]", "[1]"]),
    hvm("hdtype", "hdtype=\"{}\"", &["ide", "AHCI", "scsi"]),
    // Networks.
    pv("vif", "vif=[\"{}\"]", &[
        "", "bridge=br0", "mac=00:16:3e:aa:bb:cc,bridge=br0,script=vif-x,ip=10.0.0.1 10.0.0.2,backend=net,vifname=v0,model=virtio,mtu=1400,devid=7,type=vif,trusted",
        "mac=00-16-3e-0-1-2", "mac=00:16:3e:aa:bb:cc junk", "mac=1000:16:3e:aa:bb:cc", "type=ioemu", "type=other", "gatewaydev=g", "netdev=n", "accel=x", "untrusted", "unknown=1", "word", "devid=x", "mtu=x", "mtu=1500bytes",
        "rate=1GB/s", "rate=100Mb/s", "rate=8KB/s@1s", "rate=1MB/s@500us", "rate=1MB/s@3", "rate=1MB/s@10m", "rate=010MB/s", "rate=0x10B/s", "rate=0B/s", "rate=9B/s@0ms", "rate=4294967296B/s", "rate=1MB", "rate=", "rate=1MB/s@", "rate=1MB/s@4295s", "rate=1TB/s",
        "forwarddev=f,colo_sock_mirror_id=i,colo_filter_mirror_queue=q,colo_checkpoint_port=1", " bridge=br0, mac=00:16:3e:aa:bb:cc", "bridge=br0,,ip=1", "bridge="]),
    pv("vifs", "vif={}", &["[\"bridge=a\",\"bridge=b\"]", "[]", "\"bridge=a\"", "[\"\",\"\"]"]),
    pv("vif2", "vif2={}", &["[\"x\"]", "\"x\""]),
    // Displays.
    pv("vfb", "vfb=[\"{}\"]", &["vnc=1", "vnc=0,sdl=1,opengl=1,display=:1,xauthority=/a,keymap=de", "vnclisten=::,vncpasswd=x,vncdisplay=9,vncunused=0", "unknown=1,vnc=1", "vnc", "", "vnc=1,word,sdl=1"]),
    pv("vnc-pv", "vnc=1\n{}", &["", "vncdisplay=3\nvnclisten=\"0.0.0.0\"\nvncpasswd=\"x\"\nvncunused=0\nkeymap=\"fr\"", "sdl=1\nopengl=1\ndisplay=\":0\"\nxauthority=\"/x\"", "vfb=[\"sdl=1\"]", "vfb=[]"]),
    hvm("vnc", "{}", &["vnc=0", "vnclisten=\"10.0.0.1:7\"", "vnclisten=\"10.0.0.1:7\"\nvncdisplay=7", "vncdisplay=7\nvncunused=1\nvncpasswd=\"\"", "sdl=1\nopengl=1", "nographic=1", "vncviewer=1"]),
    pvh("vnc-pvh", "vnc={}", &["1"]),
    hvm("vga", "vga=\"{}\"", &["stdvga", "cirrus", "none", "qxl", "QXL", "matrox"]),
    hvm("stdvga", "stdvga={}", YES_NO),
    hvm("spice", "spice=1\nspiceport=5900\n{}", &["spicedisable_ticketing=1", "spicehost=\"::\"\nspicetls_port=5901\nspicepasswd=\"x\"\nspiceagent_mouse=0\nspicevdagent=1\nspice_clipboard_sharing=1\nspiceusbredirection=3", "spice_image_compression=\"auto_glz\"\nspice_streaming_video=\"filter\""]),
    hvm("gfx", "gfx_passthru={}", &["0", "1", "5", "\"default\"", "\"IGD\"", "\"amd\"", "[\"igd\"]"]),
    // Other devices.
    hvm("serial", "serial={}", &["\"pty\"", "[\"pty\",\"file:/a\"]", "5", "[]", "[[\"pty\"]]"]),
    hvm("usbdevice", "usbdevice={}", &["\"tablet\"", "[\"tablet\",\"mouse\"]", "[]"]),
    hvm("usb", "{}", &["usb=1", "usbversion=3", "soundhw=\"hda\"", "boot=\"ndc\"", "vkb_device=0"]),
    hvm("usbctrl", "usbctrl=[\"{}\"]", &["", "type=pv", "type=QUSB,version=1,ports=15", "type=auto", "type=ehci", "version=x", "unknown=1", "word"]),
    hvm("usbdev", "usbdev=[\"{}\"]", &["type=hostdev,hostbus=2,hostaddr=0x1f", "type=hostdev,hostbus=1,hostaddr=3,controller=0,port=4", "type=tablet", "unknown=1", "word"]),
    pv("vtpm", "vtpm=[\"{}\"]", &["backend=mgr", "backend=mgr,uuid=01234567-89ab-cdef-0123-456789abcdef", "uuid=01234567-89ab-cdef-0123-456789abcdef", "backend=mgr,uuid=x", "backend=mgr,unknown=1", "", " backend=mgr"]),
    pv("p9", "p9=[{}]", &["\"tag=t,path=/p,security_model=none\"", "\"tag=t,path=/p,security_model=none,backend=b\"", "\"tag=t\"", "\"tag=t,path=/p,security_model=none,unknown=1\"", "\"tag=t,path=/p,security_model=none\",\"tag=u,path=/q,security_model=none\""]),
    pv("pvcalls", "pvcalls=[\"{}\"]", &["", "backend=b", "unknown=1"]),
    pv("vdispl", "vdispl=[\"{}\"]", &["connectors=id0:1920x1080", "backend=b,be-alloc=1,connectors=a:1x2;b:3x4", "be-alloc=1", "connectors=a:800", "unknown=1", ""]),
    pv("vsnd", "vsnd=[{}]", &[
        "[\"CARD, short-name=c, long-name=card, backend=b, buffer-size=4096\",\"PCM, name=p, sample-rates=8000;48000, channels-min=1, channels-max=2\",\"STREAM, unique-id=s, type=C\"]",
        "[\"stream, unique-id=s, type=p, sample-formats=s16_le;GSM\"]", "[\"pcm, name=a\",\"stream, unique-id=1, type=p\",\"stream, unique-id=2, type=c\"],[\"card, short-name=x\"]",
        "[\"other, a=b\"]", "[\"card, a=b\"]", "[\"pcm, a=b\"]", "[\"stream, a=b\"]", "[\"stream, type=x\"]", "[\"card, sample-formats=s99\"]", "\"card\"", "[]"]),
    pv("channel", "channel=[\"{}\"]", &["connection=pty,name=c", "connection=socket,path=/s,name=c", "connection=socket,name=c", "connection=tcp", "name=c", "connection=pty,word", "connection=pty,unknown=1", " connection = pty , name = a b ", "connection=pty,name=a=b", "connection=Pty", "connection=pty,backend=b", "connection=pty,name="]),
    pv("vkb", "vkb=[\"{}\"]", &["backend-type=qemu", "backend-type=LINUX,unique-id=k,backend=b", "backend-type=qemu,feature-disable-keyboard=1,feature-disable-pointer=1,feature-abs-pointer=1,feature-raw-pointer=0", "backend-type=qemu,width=100,height=0x64", "backend-type=qemu,multi-touch-width=1,multi-touch-height=2,multi-touch-num-contacts=3", "backend-type=qemu,feature-multi-touch=1", "unique-id=k", "backend-type=usb", "backend-type=qemu,unknown=1", ""]),
    pv("vkb-vfb", "vfb=[\"vnc=1\",\"sdl=1\"]\nvkb=[\"backend-type=qemu\"{}]", &["", ",\"backend-type=linux,unique-id=u\""]),
    // The device model.
    hvm("device-model", "{}", &["device_model=\"/a/stubdom-dm\"", "device_model=\"/a/qemu\"", "device_model_override=\"/q\"", "device_model_version=\"qemu-xen\"", "device_model_version=\"qemu-xen-traditional\"", "device_model_version=\"kvm\"", "device_model_override=\"/q\"\ndevice_model_version=\"qemu-xen\"", "device_model_stubdomain_override=1\ndevice_model_stubdomain_seclabel=\"l\"", "device_model_user=\"u\"", "dm_restrict=1", "stubdomain_kernel=\"/k\"\nstubdomain_cmdline=\"c\"\nstubdomain_ramdisk=\"/r\"\nstubdomain_memory=64"]),
    hvm("device-model-args", "device_model_args{}", &["=[\"-a\",\"b c\"]", "_hvm=[\"-a\"]", "_pv=[\"-a\"]", "=\"-a\"", "_hvm=\"-a\"", "=[]", "=[[\"x\"]]"]),
    pv("device-model-pv", "device_model=\"{}\"", &["/a/stubdom-dm"]),
    hvm("cpuid", "cpuid={}", &[
        "\"host\"", "\"host,aes=0\"", "\"host,avx2=1,sse4_2=x,sse4.1=k,tm=s\"", "\"host,family=6,model=0x3a,stepping=9\"", "\"host,family=0x17\"", "\"host,proccount=4,brandid=0,maxleaf=7,nc=3,apicidsize=4\"",
        "\"host,invtsc=1,ppin=0,svm_npt=1,lfence+=1,maxhvleaf=2,procpkg=1\"", "\"host,rdcl-no=1,eibrs=s\"", "\"host,rdcl-no=2x\"", "\"host,unheard=1\"", "\"host,aes\"", "\"host,aes=q\"", "\"aes=1\"", "\"\"", "5",
        "[\"0x80000001:edx=xxxxxxxxxxxxxxxxxxxxxxxxxxxx0000\"]", "[\"7,0:ebx=1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, ecx=kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\",\"7,0:edx=ssssssssssssssssssssssssssssssss\"]", "[\"leaf:eax=1\"]", "[\"1,sub:eax=1\"]", "[\"1=eax\"]", "[\"1:xyz=0\"]", "[\"1:eax=01\"]", "[\"1:\"]", "[]"]),
    // The grammar.
    pv("add", "{}", &["extra=\"a\"\nextra+=\" b\"", "disk=[\"/a,raw,xvda\"]\ndisk+=[\"/b,raw,xvdb\"]", "disk+=[\"/a,raw,xvda\"]", "extra=\"a\"\nextra+=[\"b\"]", "maxvcpus=2\nmaxvcpus+=2", "memory+=64", "extra=1\nextra+=2"]),
    pv("statements", "{}", &["extra=\"a\"; root=\"/r\"", ";;extra=\"a\";", "# only a comment", "extra=\"a\" # behind", "  extra = \"a\"", "\textra\t=\t\"a\"", "extra=\"a\"root=\"/r\"", "extra \"a\"", "extra=", "=1", "extra==\"a\"", "extra=\"a\",", "extra\n=\"a\"", "extra=\n\"a\""]),
    pv("numbers", "memory={}", &["0x40", "0100", "'64'", "\" 64\"", "\"64 \"", "64MB", "6 4", "0x", "08", "1e3", "12345678901234567890", "\"\"", "1x", "abc", "0b11"]),
    pv("lists", "disk={}", &["[\"/a,raw,xvda\",]", "[\n\n\"/a,raw,xvda\"\n,\n\"/b,raw,xvdb\"\n]", "[,]", "[\"/a,raw,xvda\",,]", "[\"/a,raw,xvda\" \"/b,raw,xvdb\"]", "[", "]", "[[[[]]]]", "[\"/a,raw,xvda\"; ]", "[ # comment\n]", "[\"/a,raw,xvda\"", "[x]"]),
    pv("strings", "extra={}", &["'single'", "\"it's\"", "'say \"x\"'", "\"a\\tb\\nc\\\\d\\\"e\"", "'\\a\\b\\f\\v\\r'", "\"open", "'open\"", "\"a\\qb\"", "\"caf\u{e9}\"", "\"line\\\nline\"", "\"\"", "\"# no comment\"", "bare", "True"]),
    pv("names", "{}", &["Extra=\"a\"", "extra2.x_y=1", "2extra=1", "_extra=1", "unknown=1", "unknown=[\"x\",[\"y\"]]", "extra-x=1"]),
    pv("kinds", "{}", &["kernel=[\"/k\"]", "memory=[64]", "acpi=\"yes\"", "acpi=yes", "extra=5", "name=7", "on_crash=3", "vif=5", "cpu_weight=[]", "bootloader=[]"]),
    bare("python", "{}", &["import os\nname=\"n\"", "name = \"a\" + \"b\"", "def f():\n  x", "if x:\n name=\"n\"", "name=('n')"]),
    pv("twice", "{}", &["memory=1\nmemory=64", "vif=[\"bridge=a\"]\nvif=[]", "acpi=1\nacpi=0"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_many_with_a_name_each() {
        let cases = all();
        let names: std::collections::HashSet<_> = cases.iter().map(|c| &c.name).collect();
        assert_eq!(names.len(), cases.len());
        assert!(cases.len() > 600, "{}", cases.len());
    }
}
