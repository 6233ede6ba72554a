//! The machine's own apt sources, so that dom0's packages come from where the machine's come from.
//!
//! Both forms of sources.list(5) are read: one-line entries and deb822 stanzas.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// One binary-package source: a repository, a suite of it and the suite's components.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub uri: String,
    pub suite: String,
    pub components: Vec<String>,
}

/// The entries of sources.list and sources.list.d that give Debian's own packages of `release`: the release, its
/// updates and its security fixes, component main.
pub(crate) fn sources_of(release: &str) -> Result<Vec<Source>> {
    let wanted = ["", "-updates", "-security"].map(|suffix| format!("{release}{suffix}"));
    let mut found = Vec::new();
    for path in source_files(Path::new("/etc/apt"))? {
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let deb822 = path.extension().is_some_and(|e| e == "sources");
        let sources = if deb822 { parse_deb822(&text) } else { parse_one_line(&text) };
        found.extend(
            sources.into_iter().filter(|s| wanted.contains(&s.suite) && s.components.iter().any(|c| c == "main")),
        );
    }
    if found.is_empty() {
        bail!(
            "no apt source of this machine has Debian {release}, which the lab's dom0 is made of; \
             add a line \"deb MIRROR {release} main\" to /etc/apt/sources.list"
        );
    }
    Ok(found)
}

impl Source {
    /// The entry in the one-line form, component main only.
    pub(crate) fn line(&self) -> String {
        format!("deb {} {} main\n", self.uri, self.suite)
    }
}

/// The files that apt reads: sources.list, then *.list and *.sources by name.
fn source_files(apt: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let list = apt.join("sources.list");
    if list.exists() {
        files.push(list);
    }
    if let Ok(entries) = fs::read_dir(apt.join("sources.list.d")) {
        let mut more: Vec<PathBuf> = entries.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
        more.retain(|p| p.extension().is_some_and(|e| e == "list" || e == "sources"));
        more.sort();
        files.append(&mut more);
    }
    Ok(files)
}

/// `deb [options] uri suite component...`, one a line.
fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let entry = line.split('#').next()?.trim().strip_prefix("deb")?;
    let entry = entry.starts_with([' ', '\t']).then(|| entry.trim_start())?;
    let entry = match entry.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.1,
        None => entry,
    };
    let mut words = entry.split_whitespace().map(str::to_owned);
    Some(Source { uri: words.next()?, suite: words.next()?, components: words.collect() })
}

/// Stanzas of `Field: value` lines, with continuation lines; each gives every URI with every suite.
fn parse_deb822(text: &str) -> Vec<Source> {
    let text: String = text.lines().filter(|l| !l.starts_with('#')).flat_map(|l| [l, "\n"]).collect();
    text.split("\n\n").flat_map(parse_stanza).collect()
}

fn parse_stanza(stanza: &str) -> Vec<Source> {
    let unfolded = stanza.replace("\n ", " ").replace("\n\t", " ");
    let field = |name: &str| -> Vec<&str> {
        unfolded
            .lines()
            .filter_map(|l| l.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.split_whitespace().collect())
            .unwrap_or_default()
    };
    if !field("Types").contains(&"deb") || field("Enabled") == ["no"] {
        return Vec::new();
    }
    let components: Vec<String> = field("Components").into_iter().map(str::to_owned).collect();
    let mut sources = Vec::new();
    for uri in field("URIs") {
        for suite in field("Suites") {
            sources.push(Source { uri: uri.into(), suite: suite.into(), components: components.clone() });
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suite: &str, components: &[&str]) -> Source {
        Source { uri: uri.into(), suite: suite.into(), components: components.iter().map(|&c| c.into()).collect() }
    }

    #[test]
    fn one_line_entries_with_options_and_comments() {
        let text = "# deb http://no.example/ a main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bookworm main contrib # here\n\
                    deb-src http://m.example/debian bookworm main\n\
                    \tdeb\thttp://s.example/security bookworm-security main\n";
        assert_eq!(
            parse_one_line(text),
            [
                source("http://m.example/debian", "bookworm", &["main", "contrib"]),
                source("http://s.example/security", "bookworm-security", &["main"]),
            ]
        );
    }

    #[test]
    fn deb822_stanzas_with_several_suites_comments_and_continuations() {
        let text = "Types: deb deb-src\n# a snapshot once\nURIs: http://m.example/debian\n\
                    Suites: bookworm\n bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n\n\
                    Types: deb\nEnabled: no\nURIs: http://off.example/\nSuites: bookworm\nComponents: main\n\n\
                    types: deb-src\nURIs: http://src.example/\nSuites: bookworm\nComponents: main\n";
        assert_eq!(
            parse_deb822(text),
            [
                source("http://m.example/debian", "bookworm", &["main"]),
                source("http://m.example/debian", "bookworm-updates", &["main"]),
            ]
        );
    }

    #[test]
    fn an_incomplete_line_gives_nothing() {
        assert_eq!(parse_one_line("deb\ndeb http://m.example/\ndeb [arch=amd64 http://m.example/ s main\n"), []);
    }
}
