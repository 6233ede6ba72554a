//! Sets of CPUs and nodes as text: `0-3,6`, `all`, `none`.

use libxl::types::Bitmap;

/// The members below `size` as ranges; `all` and `none` in words.
pub(crate) fn ranges(set: &Bitmap, size: u32) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for member in set.iter().take_while(|member| *member < size) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == member => *last = member,
            _ => runs.push((member, member)),
        }
    }
    match runs[..] {
        [] => "none".to_string(),
        [(0, last)] if last + 1 == size => "all".to_string(),
        _ => runs.iter().map(run).collect::<Vec<_>>().join(","),
    }
}

fn run(&(first, last): &(u32, u32)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_stock_xl_writes_them() {
        let text = |members: &[u32], size| ranges(&members.iter().copied().collect(), size);
        assert_eq!(text(&[], 4), "none");
        assert_eq!(text(&[0, 1, 2, 3], 4), "all");
        assert_eq!(text(&[0, 1, 2, 3, 4, 5], 4), "all", "members beyond the size do not count");
        assert_eq!(text(&[0], 1), "all");
        assert_eq!(text(&[1], 2), "1");
        assert_eq!(text(&[0, 1, 2], 4), "0-2");
        assert_eq!(text(&[0, 2, 3, 5], 6), "0,2-3,5");
        assert_eq!(text(&[1, 2, 3], 4), "1-3");
    }
}
