//! The longest files and functions, printed to be looked at. Good code is small because it was thought through, so only
//! what is far beyond that fails.

use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use crate::tree::{Source, rust};

/// Lines of a file without its tests.
const LONGEST_FILE: usize = 600;
/// Lines of a function with its signature and body.
const LONGEST_FUNCTION: usize = 120;
const PRINTED: usize = 10;

/// Lines, path, name.
type Size = (usize, String, String);

#[test]
fn nothing_is_longer_than_can_be_read() {
    let sources: Vec<(Source, syn::File)> =
        rust().into_iter().filter(|(source, _)| !source.is_generated() && !source.is_test()).collect();
    let files =
        sources.iter().map(|(source, file)| (lines_of(source, file), source.path.clone(), String::new()));
    show("longest files without their tests", LONGEST_FILE, files.collect());
    show("longest functions", LONGEST_FUNCTION, sources.iter().flat_map(functions).collect());
}

fn show(title: &str, limit: usize, mut sizes: Vec<Size>) {
    sizes.sort_by(|a, b| b.cmp(a));
    println!("{title} (fails above {limit}):");
    for (lines, path, name) in sizes.iter().take(PRINTED) {
        println!("  {lines:4}  {path} {name}");
    }
    let (lines, path, name) = &sizes[0];
    assert!(*lines <= limit, "{path} {name}: {lines} lines; {limit} are allowed, and far fewer are better");
}

/// Lines of the file less those of its modules that are only compiled for tests.
fn lines_of(source: &Source, file: &syn::File) -> usize {
    let tests = file.items.iter().filter(|item| is_for_tests(item)).map(|item| length(item.span()));
    source.text.lines().count() - tests.sum::<usize>()
}

fn is_for_tests(item: &syn::Item) -> bool {
    let syn::Item::Mod(module) = item else { return false };
    module.content.is_some() && has_test_condition(&module.attrs)
}

fn has_test_condition(attributes: &[syn::Attribute]) -> bool {
    let is_test = |attribute: &syn::Attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("cfg") && list.is_ok_and(|list| list.tokens.to_string() == "test")
    };
    attributes.iter().any(is_test)
}

fn length(span: Span) -> usize {
    span.end().line - span.start().line + 1
}

fn functions((source, file): &(Source, syn::File)) -> Vec<Size> {
    let mut found = Functions { path: &source.path, sizes: Vec::new() };
    found.visit_file(file);
    found.sizes
}

struct Functions<'a> {
    path: &'a str,
    sizes: Vec<Size>,
}

impl Functions<'_> {
    /// From the signature to the closing brace: documentation is not length.
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = block.span().end().line - signature.span().start().line + 1;
        self.sizes.push((lines, self.path.to_owned(), signature.ident.to_string()));
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !has_test_condition(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.add(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}
