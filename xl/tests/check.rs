//! `xl check`: what is wrong with a configuration, and what it names that is not there, without Xen.

use std::path::PathBuf;
use std::process::Command;

/// A directory with a kernel, a disk's image and whatever configuration a test writes.
struct Place {
    directory: PathBuf,
}

impl Place {
    fn new(name: &str) -> Place {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("check").join(name);
        std::fs::create_dir_all(&directory).unwrap();
        for file in ["kernel", "disk.img"] {
            std::fs::write(directory.join(file), "").unwrap();
        }
        Place { directory }
    }

    /// A guest that can be: each host has the network device `lo`, which does for a bridge here.
    fn guest(&self, lines: &str) -> String {
        let directory = self.directory.display();
        format!(
            "name = \"web\"\ntype = \"pvh\"\nkernel = \"{directory}/kernel\"\nmemory = 64\n\
             disk = [ \"{directory}/disk.img,raw,xvda,w\" ]\nvif = [ \"bridge=lo\" ]\n{lines}\n"
        )
    }

    /// The exit status and what is said about these configurations.
    fn check(&self, configurations: &[&str]) -> (i32, String) {
        let files = configurations.iter().enumerate().map(|(n, text)| {
            let file = format!("{n}.cfg");
            std::fs::write(self.directory.join(&file), text).unwrap();
            file
        });
        let output = Command::new(env!("CARGO_BIN_EXE_xl"))
            .arg("check")
            .args(files)
            .current_dir(&self.directory)
            .output()
            .unwrap();
        assert!(output.stdout.is_empty());
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn nothing_is_said_of_a_guest_that_can_be() {
    let place = Place::new("right");
    assert_eq!(place.check(&[&place.guest(""), &place.guest("vcpus = 2")]), (0, String::new()));
}

#[test]
fn what_is_wrong_has_a_place_and_a_proposal() {
    let place = Place::new("wrong");
    let (status, said) = place.check(&[&place.guest("memroy = 512")]);
    assert_eq!(status, 1);
    assert_eq!(
        said,
        "0.cfg:7:1: error: unknown key `memroy'\n 7 | memroy = 512\n   | ^^^^^^\n   = did you mean `memory'?\n"
    );
}

#[test]
fn what_is_not_there_is_named() {
    let place = Place::new("missing");
    for (before, after, problem) in [
        ("/kernel", "/gone", "3:10: error: kernel: there is no DIRECTORY/gone"),
        ("/kernel", "", "3:10: error: kernel: DIRECTORY is a directory"),
        ("/disk.img", "/gone", "5:10: error: disk xvda: there is no DIRECTORY/gone"),
        ("/disk.img", "", "5:10: error: disk xvda: DIRECTORY is a directory"),
        ("bridge=lo", "bridge=nowhere0", "6:9: error: vif 0: there is no bridge nowhere0"),
    ] {
        let guest = place.guest("").replace(before, after);
        let (status, said) = place.check(&[&guest]);
        let first = format!("0.cfg:{}\n", problem.replace("DIRECTORY", &place.directory.to_string_lossy()));
        assert!(status == 1 && said.starts_with(&first), "{said}");
        assert_eq!(said.lines().filter(|line| line.starts_with("   = ")).count(), 1, "{said}");
    }
}

#[test]
fn settings_that_do_not_go_together_are_told() {
    let place = Place::new("together");
    let (status, said) = place.check(&[&place.guest("maxmem = 128\naltp2m = \"mixed\"")]);
    assert_eq!((status, said.lines().count()), (1, 1));
    assert!(said.starts_with("0.cfg: error: memory below maxmem"), "{said}");
}

#[test]
fn what_xl_create_refuses_is_told() {
    let place = Place::new("refused");
    for (line, words) in [
        ("type = \"hvm\"", "type=\"hvm\" is not supported yet"),
        ("bootloader = \"KERNEL\"", "bootloader= is not supported yet"),
        ("pvshim = 1", "pvshim= is not supported yet"),
        ("vfb = [ \"vnc=1\" ]\ndm_restrict = 1", "dm_restrict=1 is not supported yet"),
    ] {
        let guest = place.guest(&line.replace("KERNEL", &format!("{}/kernel", place.directory.display())));
        // What comes first counts where a key is there twice, but for a warning.
        let guest = if line.starts_with("type") { guest.replacen("type = \"pvh\"\n", "", 1) } else { guest };
        let (status, said) = place.check(&[&guest]);
        assert_eq!((status, said.lines().count()), (1, 1), "{said}");
        assert!(said.starts_with(&format!("0.cfg: error: {words}")), "{said}");
    }
}

#[test]
fn every_file_is_checked() {
    let place = Place::new("many");
    let (status, said) = place.check(&[&place.guest("a = 1"), &place.guest(""), &place.guest("b = 1"), "name ="]);
    assert_eq!(status, 1);
    for start in ["0.cfg:7:1: error", "2.cfg:7:1: error", "3.cfg:1:7: error"] {
        assert!(said.lines().any(|line| line.starts_with(start)), "{start}: {said}");
    }
    assert!(!said.contains("1.cfg"), "{said}");
}
