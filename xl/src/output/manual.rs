//! The manual page xl(1), in roff (groff_man(7)).

use clap::{Arg, Command};
use std::fmt::Write;

const HEAD: &str = r#".TH XL 1 "" "" "Xen"
.SH NAME
xl \- manage Xen guest domains
.SH SYNOPSIS
.B xl
[\fIoptions\fR] \fIsubcommand\fR [\fIarguments\fR]
.SH DESCRIPTION
.B xl
creates, watches, changes, moves and ends the guests of a Xen host, and shows and sets up the host itself. It needs the
rights of root in Xen's control domain.
.PP
A domain is named by its number, its name or its UUID. Subcommands and long options may be shortened as long as they stay
unambiguous. \fBxl help\fR \fIsubcommand\fR tells the options of one.
"#;

const TAIL: &str = r#".SH EXIT STATUS
0 if it worked, 2 if the call was wrong, otherwise 1 or what the subcommand says; \fBpause\fR, \fBunpause\fR, \fBtrigger\fR,
\fBsysrq\fR and \fBbutton\-press\fR end with 0 as soon as they know which domain is meant.
.SH FILES
.TP
.I /etc/xen/xl.conf
what holds for all guests, xl.conf(5); in its place, if it exists, \fI/etc/xen/xl.toml\fR
.TP
.I /etc/xen/auto
configurations of the guests that start with the host
.TP
.I /var/log/xen/xl\-NAME.log
what the process that stays with the guest NAME has to tell
.TP
.I /var/lib/xen/dump/NAME
the core file of the guest NAME, after a crash for which its configuration asks for one
.SH SEE ALSO
xl.cfg(5), xl.conf(5), xlcpupool.cfg(5), xl\-disk\-configuration(5), xl\-network\-configuration(5), xentop(1)
"#;

/// The page for a program with these options and subcommands.
pub(crate) fn page(program: &mut Command) -> String {
    program.build();
    let mut page = HEAD.to_string();
    page += ".SH GLOBAL OPTIONS\n";
    options(&mut page, program);
    page += ".SH SUBCOMMANDS\n";
    for subcommand in program.get_subcommands_mut() {
        let usage = subcommand.render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: xl ");
        let (name, arguments) = usage.split_once(' ').unwrap_or((usage, ""));
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(page, ".SS \\fB{}\\fR {}\n{}", escaped(name), escaped(arguments), line(&about));
        options(&mut page, subcommand);
    }
    page + TAIL
}

/// The options and arguments of a command that have something to tell.
fn options(page: &mut String, command: &Command) {
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set() && argument.get_id() != "help") {
        let Some(help) = argument.get_help() else { continue };
        let _ = writeln!(page, ".TP\n{}\n{}", tag(argument), line(&help.to_string()));
    }
}

/// How an option or argument is written: `-f, --file FILE`.
fn tag(argument: &Arg) -> String {
    let bold = |name: String| format!("\\fB{}\\fR", escaped(&name));
    let short = argument.get_short().map(|short| bold(format!("-{short}")));
    let long = argument.get_long().map(|long| bold(format!("--{long}")));
    let mut tag = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    if argument.is_positional() || argument.get_action().takes_values() {
        for name in argument.get_value_names().unwrap_or_default() {
            let gap = if tag.is_empty() { "" } else { " " };
            let _ = write!(tag, "{gap}\\fI{}\\fR", escaped(name));
        }
    }
    tag
}

/// A line of text, which must not be taken for a request of roff's.
fn line(text: &str) -> String {
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{}", escaped(text)),
        false => escaped(text),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    #[test]
    fn every_subcommand_and_option_is_told() {
        let page = page(&mut cli::tree());
        for subcommand in cli::SUBCOMMANDS {
            assert!(page.contains(&format!("\n.SS \\fB{}\\fR", escaped(subcommand.name))), "{}", subcommand.name);
        }
        assert!(page.contains("\n.TP\n\\fB\\-l\\fR, \\fB\\-\\-long\\fR\n"));
        assert!(page.contains("\\fIFILE\\fR"));
        assert!(!page.contains("surplus"));
    }

    #[test]
    fn text_is_not_taken_for_requests() {
        assert_eq!(line(".so x"), "\\&.so x");
        assert_eq!(line("a\\b -c"), "a\\eb \\-c");
    }
}
