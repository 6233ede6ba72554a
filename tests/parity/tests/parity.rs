//! Our reading of configurations against stock xl's: the same JSON, the same exit status.

use parity::cases::{self, Case, Guest};
use parity::combine;
use parity::runner::Runner;
use parity::stock::Stock;

/// Where ours differs on purpose: lines on top of a PV guest's, the exit status of stock xl and ours, and words of the
/// row of docs/differences.md that says why.
const DIFFERENT: &[(&str, i32, i32, &str)] = &[
    ("extra=\"a\"\r\n", 1, 0, "carriage return"),
    ("extra=\"\\x41\"\n", 1, 0, "`\\xHH`"),
    ("extra=\"\\101\"\n", 0, 0, "`\\ooo`"),
    ("cap=-1\nextra=\"a\"\n", 1, 0, "negative numbers"),
    ("# the last line", 1, 0, "comment on a last line"),
    ("rdm=\"strategy=host\"\ntype=\"hvm\"\n", 0, 0, "`rdm` without a policy"),
    ("rdm=\"strategy=host,policy=relaxed\"\ntype=\"hvm\"\n", 0, 0, "`rdm` with a right policy"),
    ("rdm=\"policy=lax\"\ntype=\"hvm\"\n", 0, 0, "`rdm` with a wrong policy"),
    ("disk=[\"/a,raw,xvda,untrusted\"]\n", 1, 0, "`trusted` and `untrusted`"),
    ("ioports=[\"64-60\"]\n", 0, 1, "last port before the first"),
    ("p9=[\"tag=t,path=/p,security_model=none\",\"tag=u\"]\n", 0, 1, "9pfs share"),
    ("vdispl=[\"connectors=a:x\"]\n", 0, 1, "connector"),
    ("vif=[\"mac=00:16:3e\"]\n", 0, 0, "MAC address"),
    ("usbdev=[\"hostbus=1,hostaddr=3\"]\n", 0, 0, "`usbdev` without a type"),
    ("memory=\"-1\"\n", 0, 1, "negative sizes"),
    ("extra=\"\\xe9\"\n", 1, 1, "UTF-8"),
];

fn runner(name: &str) -> Option<Runner> {
    match Stock::fetch() {
        Ok(stock) => Some(Runner::new(stock, name).expect("building ours")),
        Err(e) => {
            println!("skipped: stock xl is not to be had here: {e:#}");
            None
        }
    }
}

/// Whether stock xl takes the configuration, and how ours differs.
fn compare(runner: &Runner, case: &Case) -> (bool, Option<String>) {
    let (stock, ours, messages) = runner.create(&case.name, &case.text).expect("both programs run");
    let difference = (stock != ours).then(|| {
        let difference = stock
            .output
            .lines()
            .zip(ours.output.lines())
            .find(|(a, b)| a != b)
            .map(|(a, b)| format!("\n  stock: {a}\n  ours:  {b}"))
            .unwrap_or_default();
        let statuses = format!("status {:?}, ours {:?}", stock.status, ours.status);
        format!("{}: {statuses}{difference}\n{}{messages}", case.name, case.text)
    });
    (stock.status == Some(0), difference)
}

/// Compares all, and tells how many there were of either kind.
fn compare_all(runner: &Runner, cases: &[Case], what: &str) {
    let compared: Vec<(bool, Option<String>)> = cases.iter().map(|case| compare(runner, case)).collect();
    let right = compared.iter().filter(|(right, _)| *right).count();
    println!("{what}: {} configurations, of which stock xl takes {right}", cases.len());
    let differences: Vec<String> = compared.into_iter().filter_map(|(_, difference)| difference).collect();
    assert!(differences.is_empty(), "{what}: {} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn every_construct_reads_alike() {
    let Some(runner) = runner("constructs") else { return };
    compare_all(&runner, &cases::all(), "constructs");
}

#[test]
fn combinations_read_alike() {
    let Some(runner) = runner("combinations") else { return };
    let seed = std::env::var("PARITY_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed} (PARITY_SEED={seed} gives the same again)");
    compare_all(&runner, &combine::cases(seed, 500), &format!("combinations of seed {seed}"));
}

#[test]
fn differences_are_those_documented() {
    let Some(runner) = runner("differences") else { return };
    let documented = include_str!("../../../docs/differences.md");
    for (n, (lines, stock_status, our_status, words)) in DIFFERENT.iter().enumerate() {
        let text = format!("{}{lines}", Guest::Pv.base());
        let (stock, ours, messages) = runner.create(&n.to_string(), &text).expect("both programs run");
        assert_eq!(stock.status, Some(*stock_status), "stock: {lines}");
        assert_eq!(ours.status, Some(*our_status), "ours: {lines}{messages}");
        assert!(documented.contains(words), "docs/differences.md does not tell of {words}");
    }
}
