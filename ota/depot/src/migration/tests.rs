use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;
use toml_edit::{Key, value};

use super::*;

/// Three schemas that never were: a key gets a name, a section gets a key.
const CHAIN: Chain = Chain {
    program: "stopline",
    newest: 3,
    unnamed: 1,
    steps: &[
        Step {
            from: 1,
            edit: |document| {
                // The comment above a key is the key's.
                let Some((old, item)) = document.remove_entry("colour") else { return Vec::new() };
                let new = Key::new("color").with_leaf_decor(old.leaf_decor().clone());
                document.insert_formatted(&new, item);
                vec!["colour is called color".into()]
            },
        },
        Step {
            from: 2,
            edit: |document| match document.get_mut("run").and_then(Item::as_table_like_mut) {
                Some(run) if !run.contains_key("rate") => {
                    run.insert("rate", value(5));
                    vec!["run.rate = 5".into()]
                }
                _ => Vec::new(),
            },
        },
    ],
    limit: 1 << 16,
};

fn text_of(text: &str) -> String {
    CHAIN.bring(text).unwrap().unwrap().text
}

#[test]
fn each_step_edits_and_comments_and_order_stay() {
    let old = "# Our car.\nname = \"car\"  # its name\ncolour = 'red'\n\n[run]   # the process\n# directory = \"/x\"\nz = 1\n\
               a = { b = 2 } # both\n\n[[camera]]\nname = 'front'\n# the end\n";
    let migration = CHAIN.bring(old).unwrap().unwrap();
    assert_eq!((migration.from, migration.to), (1, 3));
    assert_eq!(migration.changes, ["colour is called color", "run.rate = 5", "schema = 3"]);
    assert_eq!(
        migration.text,
        "# Our car.\nname = \"car\"  # its name\ncolor = 'red'\nschema = 3\n\n[run]   # the process\n# directory = \"/x\"\nz = 1\n\
         a = { b = 2 } # both\nrate = 5\n\n[[camera]]\nname = 'front'\n# the end\n"
    );
    assert_eq!(
        text_of("schema = 2 # of yore\n[run]\nrate = 9\n"),
        "schema = 3 # of yore\n[run]\nrate = 9\n",
        "what stands beside the schema stays, and so does what is set already"
    );
    assert_eq!(
        text_of("# only sections\n[run]\nrate = 1\n"),
        "schema = 3\n# only sections\n[run]\nrate = 1\n"
    );
    assert_eq!(text_of(""), "schema = 3\n");
}

#[test]
fn what_is_newer_older_or_no_toml_is_told_apart() {
    let refused = |text: &str| CHAIN.bring(text).unwrap_err().to_string();
    let newer = refused("schema = 4\nof = { tomorrow = true }\n");
    for words in ["found 4, expected at most 3", "install the newer stopline", ".schema-3"] {
        assert!(newer.contains(words), "{words}: {newer}");
    }
    for text in ["schema = 0", "schema = -1", "schema = '2'", "schema = 1.5", "schema = [1]"] {
        let said = refused(text);
        assert!(said.contains("expected 1 to 3"), "{text}: {said}");
    }
    assert!(matches!(CHAIN.bring("schema = 1\n[x"), Err(MigrationError::Toml(_))));
    assert!(CHAIN.bring("schema = 3\nanything = 1\n").unwrap().is_none());
}

fn folder_with(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stopline.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    (folder, path)
}

fn names(folder: &tempfile::TempDir) -> Vec<String> {
    RealDisk.list(folder.path()).unwrap()
}

#[test]
fn a_file_is_exchanged_with_mode_and_the_old_one_is_kept() {
    const OLD: &str = "colour = 'red'\n";
    let (folder, path) = folder_with(OLD);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let dry = CHAIN.rewrite(&path, true, |_| Ok(())).unwrap();
    assert!(dry.in_words(&path).ends_with("nothing was written"), "{}", dry.in_words(&path));
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names(&folder).len()), (OLD, 1));

    let done = CHAIN.rewrite(&path, false, |_| Ok(())).unwrap();
    let kept = folder.path().canonicalize().unwrap().join("stopline.toml.schema-1");
    let Rewritten::Changed { kept: Some(told), .. } = &done else { panic!("{done:?}") };
    assert_eq!(told, &kept);
    assert_eq!(fs::read_to_string(&path).unwrap(), "color = 'red'\nschema = 3\n");
    assert_eq!(fs::read_to_string(&kept).unwrap(), OLD);
    assert_eq!((mode(&path), mode(&kept)), (0o640, 0o640));
    assert_eq!(names(&folder), ["stopline.toml", "stopline.toml.schema-1"], "nothing else is left");

    let before = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(CHAIN.rewrite(&path, false, |_| Ok(())).unwrap(), Rewritten::Newest(3));
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before, "written for nothing");
}

#[test]
fn a_link_stays_a_link() {
    let (folder, path) = folder_with("colour = 'red'\n");
    let link = folder.path().join("link.toml");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    CHAIN.rewrite(&link, false, |_| Ok(())).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&link).unwrap(), "color = 'red'\nschema = 3\n");
    assert!(folder.path().join("stopline.toml.schema-1").exists());
}

#[test]
fn what_would_be_refused_afterwards_or_cannot_be_written_changes_nothing() {
    let (folder, path) = folder_with("colour = 'red'\n");
    let refused = CHAIN.rewrite(&path, false, |_| Err("color: found red".into())).unwrap_err().to_string();
    assert!(refused.contains("stays as it is") && refused.contains("color: found red"), "{refused}");
    assert_eq!(names(&folder), ["stopline.toml"]);
    // A folder in the place of the kept file: nothing can be renamed over it.
    fs::create_dir(folder.path().join("stopline.toml.schema-1")).unwrap();
    assert!(matches!(CHAIN.rewrite(&path, false, |_| Ok(())), Err(MigrationError::Write { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "colour = 'red'\n");
    assert_eq!(names(&folder), ["stopline.toml", "stopline.toml.schema-1"], "what was begun is taken away");
    let absent = CHAIN.rewrite(&folder.path().join("other"), false, |_| Ok(())).unwrap_err();
    assert!(matches!(absent, MigrationError::Read { .. }), "{absent}");
}

/// TOML with comments at every place where one may stand; each comment has a number of its own.
fn documents() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        any::<i32>().prop_map(|number| number.to_string()),
        "[a-z ]{0,9}".prop_map(|text| format!("{text:?}")),
        Just("[1, 2, # within\n  3]".to_owned()),
        Just("{ a = 1, b = 'x' }".to_owned()),
        Just("\"\"\"two\nlines\"\"\"".to_owned()),
    ];
    let line = ("[a-z]{2,5}", value, any::<bool>());
    let lines = proptest::collection::btree_map("[a-z]{2,5}", line, 0..5);
    let section = (lines, any::<bool>());
    let head = prop_oneof![
        Just(String::new()),
        Just("schema = 1 # first\n".to_owned()),
        Just("schema  =  2\n".to_owned()),
        Just("schema = 3\n".to_owned()),
        Just("colour = 'red' # bright\n".to_owned()),
    ];
    (head, proptest::collection::btree_map("[a-z]{3,6}", section, 0..4)).prop_map(|(head, sections)| {
        let mut text = format!("# comment 0\n{head}");
        let mut number = 0;
        for (name, (lines, blank)) in sections {
            number += 1;
            text += &format!("{}# comment {number}\n[{name}]\n", if blank { "\n" } else { "" });
            for (key, (_, value, commented)) in lines {
                number += 1;
                let end = if commented { format!("  # comment {number}") } else { String::new() };
                text += &format!("{key} = {value}{end}\n");
            }
        }
        text + "# the last comment\n"
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn once_is_enough_comments_survive_and_the_newest_is_left_alone(text in documents()) {
        let Some(migration) = CHAIN.bring(&text).unwrap() else {
            prop_assert!(text.contains("schema = 3"));
            return Ok(());
        };
        prop_assert!(CHAIN.bring(&migration.text).unwrap().is_none(), "a second time");
        let comments = |text: &str| -> Vec<String> {
            text.split('\n').filter_map(|line| Some(line.split_once('#')?.1.to_owned())).collect()
        };
        prop_assert_eq!(comments(&text), comments(&migration.text));
        // Nothing but what a step names is another than it was.
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let (mut old, mut new) = (table(&text), table(&migration.text));
        for table in [&mut old, &mut new] {
            table.remove("schema");
        }
        if let Some(colour) = old.remove("colour") {
            old.insert("color".into(), colour);
        }
        if let Some(run) = old.get_mut("run").and_then(toml::Value::as_table_mut) {
            run.entry("rate").or_insert(5.into());
        }
        prop_assert_eq!(old, new);
    }

    #[test]
    fn no_text_makes_it_fall_over(text in any::<String>()) {
        let _ = CHAIN.bring(&text);
    }
}
