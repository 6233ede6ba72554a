//! Names and numbers of virtual disks (`docs/man/xen-vbd-interface.7`): `xvda`, `hdc1`, `d3p2`, `51712`.

/// The number that a virtual disk's name stands for.
pub fn number(vdev: &str) -> Option<u32> {
    if let Some((disk, partition)) = xen_disk(vdev) {
        return Some(match (disk, partition) {
            (0..=15, 0..=15) => 202 << 8 | disk << 4 | partition,
            _ => 1 << 28 | disk << 8 | partition,
        });
    }
    if let Some(number) = plain_number(vdev) {
        return Some(number);
    }
    if let Some((disk, partition)) = named(vdev, "hd", 3, 63) {
        let major = if disk < 2 { 3 } else { 22 };
        return Some(major << 8 | (disk & 1) << 6 | partition);
    }
    let (disk, partition) = named(vdev, "sd", 15, 15)?;
    Some(8 << 8 | disk << 4 | partition)
}

/// The name that a number has as a Xen disk: `xvda` for 51712.
pub fn name(number: u32) -> String {
    let extended = number & 1 << 28 != 0;
    let (minor, parts) = if extended { (number & !(1 << 28), 256) } else { (number & 0xff, 16) };
    let letters = letters(minor / parts);
    match minor % parts {
        0 => format!("xvd{letters}"),
        partition => format!("xvd{letters}{partition}"),
    }
}

/// The disk and the partition of `dDpP` and `xvdLETTERS[P]`.
fn xen_disk(vdev: &str) -> Option<(u32, u32)> {
    let numbered = || {
        let (disk, partition) = vdev.strip_prefix('d')?.split_once('p')?;
        let (disk, partition) = (plain_number(disk)?, plain_number(partition)?);
        (disk < 1 << 20 && partition < 256).then_some((disk, partition))
    };
    numbered().or_else(|| named(vdev, "xvd", (1 << 20) - 1, 255))
}

/// A disk named by letters, `a` being 0, `aa` 26, and its partition by a number.
fn named(vdev: &str, prefix: &str, max_disk: u32, max_partition: u32) -> Option<(u32, u32)> {
    let rest = vdev.strip_prefix(prefix)?;
    let digits = rest.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let letters = &rest[..rest.len() - digits.len()];
    let mut disk: Option<u32> = None;
    for letter in letters.bytes() {
        let next = disk.map_or(0, |d| (d + 1) * 26) + u32::from(letter - b'a');
        disk = Some(next).filter(|d| *d <= max_disk);
        disk?;
    }
    let partition = match digits {
        "" => 0,
        _ if digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) => return None,
        _ => digits.parse().ok().filter(|p| *p <= max_partition)?,
    };
    Some((disk?, partition))
}

/// A number in C's notation: decimal, `0x` hexadecimal, `0` octal.
fn plain_number(text: &str) -> Option<u32> {
    let (digits, radix) = match text {
        _ if text.starts_with("0x") || text.starts_with("0X") => (&text[2..], 16),
        _ if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        _ => (text, 10),
    };
    let is_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    u32::from_str_radix(digits, radix).ok().filter(|n| is_digits && *n <= i32::MAX as u32)
}

fn letters(disk: u32) -> String {
    let last = char::from(b'a' + (disk % 26) as u8);
    if disk < 26 { last.to_string() } else { letters(disk / 26 - 1) + &last.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_to_numbers() {
        for (vdev, expected) in [
            ("xvda", 51712),
            ("xvdb", 51728),
            ("xvda1", 51713),
            ("xvdp15", 51967),
            ("xvdq", 1 << 28 | 16 << 8),
            ("xvdaa", 1 << 28 | 26 << 8),
            ("xvda16", 1 << 28 | 16),
            ("d0p0", 51712),
            ("d536p37", 1 << 28 | 536 << 8 | 37),
            ("hda", 768),
            ("hdb", 832),
            ("hdc", 5632),
            ("hdd1", 5697),
            ("sda", 2048),
            ("sdp15", 2303),
            ("51712", 51712),
            ("0xca00", 51712),
        ] {
            assert_eq!(number(vdev), Some(expected), "{vdev}");
        }
    }

    #[test]
    fn what_is_no_disk() {
        for vdev in [
            "",
            "xvd",
            "xvd1",
            "xvda01",
            "xvda256",
            "xvdA",
            "hde",
            "sdq",
            "sda16",
            "d1",
            "d1p256",
            "-1",
            "4294967295",
            "xvdzzzzzzzzzzzz",
            "0x",
            "+5",
            "d1048576p0",
            "xvda-1",
        ] {
            assert_eq!(number(vdev), None, "{vdev}");
        }
    }

    #[test]
    fn numbers_to_names() {
        for vdev in ["xvda", "xvdb3", "xvdaa", "xvdzz", "xvdaaa255", "xvda16"] {
            assert_eq!(name(number(vdev).unwrap()), vdev);
        }
    }
}
