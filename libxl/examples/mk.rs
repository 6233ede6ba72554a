//! Harness.
use libxl::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let ctx = Ctx::new(Paths::installed(std::path::Path::new("/usr/lib/xen-4.17").parent().unwrap()));
    let t = std::time::Instant::now();
    let r = match a[1].as_str() {
        "create" => {
            let c: types::DomainConfig = types::json::from_str(&std::fs::read_to_string(&a[2]).unwrap()).unwrap();
            domain::create(&ctx, &c, &domain::Options::default()).map(|d| {
                println!("domid {d}");
                if a.len() > 3 {
                    ctx.xc().unwrap().unpause_domain(d).unwrap();
                }
            })
        }
        _ => domain::destroy(&ctx, libxc::DomId(a[2].parse().unwrap())),
    };
    if let Err(e) = r {
        println!("ERR {} {} {:?}", e.kind().code(), e, e.notes());
    }
    println!("{:?} {:?}", t.elapsed(), ctx.xs().unwrap().stats());
}
