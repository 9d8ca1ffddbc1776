//! What keeps `runtime/decide` the same on every target: no standard library, no allocator, no float method whose
//! result the platform or the compiler may choose.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};

use crate::tree::{Source, root, rust};

const ROOM: &str = "runtime/decide/src/";

/// Methods of `f32` and `f64`, less those that are exact everywhere: `abs`, `clamp`, `max`, `min`, comparisons, tests
/// (`is_finite`) and bit patterns. What is missing here goes through `libm`, where everybody gets the same answer.
const FLOAT_METHODS: [&str; 50] = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "copysign",
    "cos",
    "cosh",
    "div_euclid",
    "erf",
    "exp",
    "exp2",
    "exp_m1",
    "floor",
    "fract",
    "gamma",
    "hypot",
    "ln",
    "ln_1p",
    "ln_gamma",
    "log",
    "log10",
    "log2",
    "maximum",
    "midpoint",
    "minimum",
    "mul_add",
    "next_down",
    "next_up",
    "powf",
    "powi",
    "recip",
    "rem_euclid",
    "round",
    "round_ties_even",
    "signum",
    "sin",
    "sin_cos",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "to_degrees",
    "to_radians",
    "trunc",
    "algebraic_add",
];

/// Of `libm`: what may be used. The fused forms are not among them.
const OF_LIBM: [&str; 13] = [
    "atan2f", "atanf", "ceilf", "cosf", "expf", "floorf", "hypotf", "logf", "powf", "roundf", "sinf",
    "sqrtf", "tanf",
];

/// First words of paths that bring in a platform, an allocator or a clock.
const PATHS: [&str; 2] = ["std", "alloc"];
/// Parts of paths that bring in the processor's own instructions.
const PARTS: [&str; 3] = ["arch", "intrinsics", "simd"];

/// What a file that goes onto a target does against the rule.
#[derive(Default)]
struct Found {
    offences: Vec<String>,
    /// Modules that are only there for tests: their files are.
    for_tests: BTreeSet<String>,
}

fn for_tests(attributes: &[syn::Attribute]) -> bool {
    let tests = |attribute: &syn::Attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("cfg") && list.is_ok_and(|list| list.tokens.to_string() == "test")
    };
    attributes.iter().any(tests)
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::ExternCrate(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        _ => &[],
    }
}

impl<'a> Visit<'a> for Found {
    fn visit_item(&mut self, item: &'a syn::Item) {
        if !for_tests(attributes(item)) {
            visit::visit_item(self, item);
        } else if let syn::Item::Mod(module) = item {
            self.for_tests.insert(module.ident.to_string());
        }
    }

    fn visit_item_extern_crate(&mut self, item: &'a syn::ItemExternCrate) {
        self.offences.push(format!("extern crate {}", item.ident));
    }

    fn visit_use_tree(&mut self, tree: &'a syn::UseTree) {
        if let syn::UseTree::Path(path) = tree {
            self.word(&path.ident.to_string(), PATHS.iter().chain(&PARTS));
        }
        visit::visit_use_tree(self, tree);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let words: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let [first, .., last] = words.as_slice() {
            self.word(first, PATHS.iter());
            words.iter().for_each(|word| self.word(word, PARTS.iter()));
            if first == "libm" && !OF_LIBM.contains(&last.as_str()) {
                self.offences.push(format!("libm::{last}"));
            }
            // `f32::sqrt` named without a call.
            if ["f32", "f64"].contains(&first.as_str()) {
                self.word(last, FLOAT_METHODS.iter());
            }
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        self.word(&call.method.to_string(), FLOAT_METHODS.iter());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, of: &'a syn::Macro) {
        for token in of.tokens.clone() {
            self.word(&token.to_string(), FLOAT_METHODS.iter().chain(&PATHS));
        }
        visit::visit_macro(self, of);
    }
}

impl Found {
    fn word<'a>(&mut self, word: &str, forbidden: impl IntoIterator<Item = &'a &'a str>) {
        if forbidden.into_iter().any(|name| *name == word) {
            self.offences.push(word.to_owned());
        }
    }

    fn of(file: &syn::File) -> Self {
        let mut found = Self::default();
        found.visit_file(file);
        found
    }
}

fn sources() -> Vec<(Source, syn::File)> {
    let of_room = |source: &Source| source.path.starts_with(ROOM) && !source.is_test();
    rust().into_iter().filter(|(source, _)| of_room(source)).collect()
}

#[test]
fn the_decision_has_no_platform_and_no_arithmetic_of_its_own_choice() {
    let sources = sources();
    assert!(sources.len() > 15, "the room has moved: {} files", sources.len());
    let found: Vec<(&Source, Found)> =
        sources.iter().map(|(source, file)| (source, Found::of(file))).collect();
    let tests: BTreeSet<String> = found.iter().flat_map(|(_, found)| found.for_tests.clone()).collect();
    for (source, found) in &found {
        let name = source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        assert!(tests.contains(name) || found.offences.is_empty(), "{}: {:?}", source.path, found.offences);
    }
}

#[test]
fn the_crate_says_no_std_and_takes_its_crates_without_features() {
    let lib = std::fs::read_to_string(root().join(ROOM).join("lib.rs")).expect("it is there");
    assert!(lib.contains("\n#![no_std]\n"), "lib.rs does not say #![no_std]");
    let read = |path: &str| -> toml::Table {
        std::fs::read_to_string(root().join(path)).expect("it is there").parse().expect("TOML")
    };
    let room = read("runtime/decide/Cargo.toml");
    let names: Vec<&String> = room["dependencies"].as_table().expect("dependencies").keys().collect();
    assert_eq!(
        names,
        ["heapless", "libm", "serde"],
        "each new crate may bring an allocator: look, then name it here"
    );
    assert_eq!(room["dependencies"]["serde"]["optional"].as_bool(), Some(true));
    let workspace = read("Cargo.toml");
    for name in ["heapless", "libm"] {
        let chosen = &workspace["workspace"]["dependencies"][name];
        assert_eq!(chosen["default-features"].as_bool(), Some(false), "{name}");
        assert!(chosen.get("features").is_none(), "{name}: {chosen}");
    }
}

#[test]
fn the_rule_sees_what_it_forbids() {
    for (code, offence) in [
        ("fn f(x: f32) -> f32 { x.mul_add(2.0, 1.0) }", "mul_add"),
        ("fn f(x: f32) -> f32 { (x + 1.0).sqrt() }", "sqrt"),
        ("fn f(x: Option<f32>) -> Option<f32> { x.map(f32::sin) }", "sin"),
        ("fn f(x: f32) { assert!(x.floor() > 0.0) }", "floor"),
        ("fn f(x: f32) -> f32 { libm::fmaf(x, x, x) }", "libm::fmaf"),
        ("use std::collections::HashMap;", "std"),
        ("extern crate alloc;", "extern crate alloc"),
        ("fn f() -> usize { std::mem::size_of::<u8>() }", "std"),
        ("use core::arch::aarch64::vaddq_f32;", "arch"),
    ] {
        let found = Found::of(&syn::parse_str(code).expect(code));
        assert!(found.offences.iter().any(|found| found == offence), "{code}: {:?}", found.offences);
    }
    for code in [
        "fn f(x: f32) -> f32 { libm::sqrtf(x).abs().max(1.0) }",
        "#[cfg(test)] extern crate std;",
        "#[cfg(test)] mod tests { fn f(x: f32) -> f32 { x.sqrt() } }",
    ] {
        let found = Found::of(&syn::parse_str(code).expect(code));
        assert!(found.offences.is_empty(), "{code}: {:?}", found.offences);
    }
}
