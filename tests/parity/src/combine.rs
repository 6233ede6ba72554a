//! Configurations made of many settings at random, from a seed that gives the same ones again.

use crate::cases::{Case, Guest, TOPICS, Topic};

/// How many settings a configuration has on top of what it needs, at most.
const MAX_SETTINGS: usize = 12;

/// So many configurations from this seed.
pub fn cases(seed: u64, count: usize) -> Vec<Case> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|n| Case { name: format!("{seed}-{n}"), text: configuration(&mut random) }).collect()
}

/// Some topics of any kind of guest, in random order, with newlines, blanks and comments between them.
fn configuration(random: &mut fastrand::Rng) -> String {
    let guest = [Guest::Pv, Guest::Hvm, Guest::Pvh][random.usize(0..3)];
    let mut text = guest.base().to_string();
    for _ in 0..random.usize(1..=MAX_SETTINGS) {
        text.push_str(separator(random));
        text.push_str(&setting(topic(random), random));
        text.push('\n');
    }
    text
}

/// A topic that says something on top of a whole guest.
fn topic(random: &mut fastrand::Rng) -> &'static Topic {
    loop {
        let topic = &TOPICS[random.usize(0..TOPICS.len())];
        if topic.guest != Guest::Bare {
            return topic;
        }
    }
}

/// The lines of a topic with one of its values, the first ones more often: they are right more often.
fn setting(topic: &Topic, random: &mut fastrand::Rng) -> String {
    let few = random.usize(0..topic.values.len());
    let fewer = random.usize(0..=few);
    topic.lines.replace("{}", topic.values[random.usize(0..=fewer)])
}

fn separator(random: &mut fastrand::Rng) -> &'static str {
    ["", "", "\n", "  ", "# a comment\n", "\t", ";", "\n\n"][random.usize(0..8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_again() {
        let texts = |seed| cases(seed, 20).into_iter().map(|c| c.text).collect::<Vec<_>>();
        assert_eq!(texts(1), texts(1));
        assert_ne!(texts(1), texts(2));
    }
}
