//! Which target paths a delegation is about (TUF §4.5, `paths` and `path_hash_prefixes`).

use sha2::{Digest, Sha256};

use crate::hex;
use crate::name::TargetPath;

/// Whether `pattern` matches the whole of `path`: segment by segment, `*` any characters but `/`, `?` one character,
/// upper and lower case apart. Nothing else is special; `[a]` means these three characters.
pub(crate) fn matches(pattern: &str, path: &TargetPath) -> bool {
    let mut patterns = pattern.split('/');
    let mut segments = path.as_str().split('/');
    loop {
        match (patterns.next(), segments.next()) {
            (None, None) => return true,
            (Some(pattern), Some(segment)) if segment_matches(pattern, segment) => {}
            _ => return false,
        }
    }
}

/// Linear in the product of the lengths at worst: on a mismatch only the last `*` takes one character more, which is
/// enough, because an earlier one could only repeat what the last can do.
fn segment_matches(pattern: &str, segment: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let segment: Vec<char> = segment.chars().collect();
    let (mut p, mut s) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while s < segment.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, s));
                p += 1;
            }
            Some(c) if *c == '?' || *c == segment[s] => {
                p += 1;
                s += 1;
            }
            _ => {
                let Some((after, taken)) = retry else { return false };
                retry = Some((after, taken + 1));
                (p, s) = (after, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether the SHA-256 of `path`, in hexadecimal, begins with one of `prefixes`.
pub(crate) fn hash_matches(prefixes: &[String], path: &TargetPath) -> bool {
    let digest = hex::encode(&Sha256::digest(path.as_str().as_bytes()));
    prefixes.iter().any(|prefix| digest.starts_with(prefix.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matching(pattern: &str, path: &str) -> bool {
        matches(pattern, &TargetPath::new(path).unwrap())
    }

    #[test]
    fn a_star_does_not_cross_a_slash() {
        assert!(matching("models/*/*", "models/stop-sign/1.slb"));
        for path in ["models/1.slb", "models/stop-sign/deep/1.slb", "rollout/stop-sign/1.slb", "models"] {
            assert!(!matching("models/*/*", path), "{path}");
        }
        assert!(!matching("*", "a/b"));
        assert!(!matching("a?b", "a/b"));
    }

    #[test]
    fn a_question_mark_is_one_character_and_case_counts() {
        assert!(matching("foo-?.tgz", "foo-1.tgz") && matching("foo-?.tgz", "foo-é.tgz"));
        assert!(!matching("foo-?.tgz", "foo-10.tgz") && !matching("foo-?.tgz", "foo-.tgz"));
        assert!(!matching("*.md", "README.MD"));
        assert!(!matching("[ab]", "a") && matching("[ab]", "[ab]"));
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        let pattern = "*a".repeat(500) + "b";
        assert!(!matching(&pattern, &"a".repeat(1000)));
    }

    #[test]
    fn a_path_falls_into_its_hash_bin() {
        let path = TargetPath::new("file1.txt").unwrap();
        let digest = hex::encode(&Sha256::digest(b"file1.txt"));
        let bins = |prefix: &str| hash_matches(&[prefix.to_owned()], &path);
        assert!(bins(&digest[..1]) && bins(&digest) && bins(""));
        assert!(!bins("x") && !bins(&format!("{digest}0")));
    }

    /// The definition, word for word.
    fn slow(pattern: &[char], segment: &[char]) -> bool {
        match (pattern.split_first(), segment.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => (0..=segment.len()).any(|taken| slow(rest, &segment[taken..])),
            (Some((p, pattern)), Some((s, segment))) => (*p == '?' || p == s) && slow(pattern, segment),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn fast_matching_is_matching(pattern in "[ab*?]{0,8}", segment in "[ab]{1,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(segment_matches(&pattern, &segment), slow(&chars(&pattern), &chars(&segment)));
        }
    }
}
