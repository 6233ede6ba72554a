//! The configurations by which the language was first taken down: one for each key, form and error of stock xl.

use crate::cases::Case;

const TABLE: &str = include_str!("../cases/reference.tsv");

/// The configurations that ours reads otherwise on purpose, and words of the row of docs/differences.md that says why.
pub const DIFFERENT: &[(&str, &str)] = &[
    ("disk-28", "`trusted` and `untrusted`"),
    ("ioport-4", "last port before the first"),
    ("p9-2", "9pfs share"),
    ("rdm-policy", "`rdm` with a right policy"),
    ("rdm-policy-bad", "`rdm` with a wrong policy"),
    ("syn-crlf", "carriage return"),
    ("syn-esco", "`\\ooo`"),
    ("syn-escx", "`\\xHH`"),
    ("usbdev-0", "`usbdev` without a type"),
    ("vdispl-1", "connector"),
    ("vif-03", "MAC address"),
];

const UUID: &str = "uuid=\"11111111-2222-3333-4444-555555555555\"\n";

/// All of them.
pub fn cases() -> Vec<Case> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(case).collect()
}

/// `name<TAB>base<TAB>text`
fn case(line: &str) -> Option<Case> {
    let mut fields = line.splitn(3, '\t');
    let (name, base, text) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Case { name: name.to_string(), text: before(base)? + &unescaped(text) })
}

fn before(base: &str) -> Option<String> {
    Some(match base {
        "pv" => format!("name=\"a\"\nkernel=\"/k\"\nmemory=64\nvcpus=1\n{UUID}"),
        "hvm" => format!("name=\"a\"\ntype=\"hvm\"\nmemory=64\nvcpus=1\n{UUID}"),
        "pvh" => format!("name=\"a\"\ntype=\"pvh\"\nkernel=\"/k\"\nmemory=64\nvcpus=1\n{UUID}"),
        "none" => String::new(),
        _ => return None,
    })
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        plain.push(match (c, if c == '\\' { characters.next() } else { None }) {
            (_, Some('n')) => '\n',
            (_, Some('r')) => '\r',
            (_, Some('t')) => '\t',
            (_, Some(escaped)) => escaped,
            (c, None) => c,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_case() {
        let cases = cases();
        assert_eq!(cases.len(), TABLE.lines().count() - 1);
        assert_eq!(cases.len(), 351);
        assert!(DIFFERENT.iter().all(|(name, _)| cases.iter().any(|c| c.name == *name)));
        assert!(cases.iter().any(|c| c.name == "syn-esc" && c.text.ends_with("extra=\"a\\tb\\nc\\\"d\\\\e\"\n")));
    }
}
