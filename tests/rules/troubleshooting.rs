//! The troubleshooting page's headings are what the program prints, and the configuration's page has every section.

use proc_macro2::{TokenStream, TokenTree};

use crate::tree::{Source, files, root};

/// What other people's code prints: the reader of TOML.
const FOREIGN: [&str; 1] = ["unknown field …"];

fn page(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("the page is there")
}

/// Texts of headings in backquotes.
fn headings(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect()
}

/// Every string literal of the file, also within macros.
fn literals(source: &Source) -> Vec<String> {
    fn walk(stream: TokenStream, into: &mut Vec<String>) {
        for token in stream {
            match token {
                TokenTree::Group(group) => walk(group.stream(), into),
                TokenTree::Literal(literal) => {
                    into.extend(
                        syn::parse_str::<syn::LitStr>(&literal.to_string()).ok().map(|text| text.value()),
                    );
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(source.text.parse().unwrap_or_else(|error| panic!("{}: {error}", source.path)), &mut found);
    found
}

/// Whether `literal` says what `heading` says, with anything in place of each `…`.
fn says(literal: &str, heading: &str) -> bool {
    let mut rest = literal;
    heading.split('…').map(str::trim).filter(|part| !part.is_empty()).all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

#[test]
fn every_heading_of_the_troubleshooting_page_is_printed_by_the_program() {
    let code: Vec<String> = files(&[".rs"])
        .iter()
        .filter(|source| {
            !source.is_test() && (source.path.starts_with("runtime/") || source.path.starts_with("sensors/"))
        })
        .flat_map(literals)
        .collect();
    let text = page("runtime/TROUBLESHOOTING.md");
    let headings = headings(&text);
    assert!(headings.len() > 20, "{headings:?}");
    for heading in headings.iter().filter(|heading| !FOREIGN.contains(heading)) {
        assert!(code.iter().any(|literal| says(literal, heading)), "nobody prints {heading:?}");
    }
}

#[test]
fn every_section_of_the_example_has_its_heading_on_the_configuration_page() {
    let page = page("runtime/CONFIGURATION.md");
    let example = root().join("runtime/stopline.example.toml");
    let example: toml::Table =
        std::fs::read_to_string(example).expect("the example is there").parse().expect("the example is TOML");
    for section in example.keys() {
        assert!(page.contains(&format!("\n## {section}\n")), "no heading for {section}");
    }
}

#[test]
fn a_heading_is_held_against_whole_messages() {
    assert!(says("camera {} is lost: {error}", "camera … is lost: …"));
    assert!(
        !says("camera {} is back", "camera … is lost: …")
            && !says("is lost: a camera", "camera … is lost: …")
    );
    assert_eq!(headings("## a\n### `x … y`\n### plain\n"), ["x … y"]);
}
