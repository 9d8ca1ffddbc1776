//! Manual pages and completions as an integrator finds them after an installation.

use std::process::Command;

use stopline_tests::program as built;

#[test]
fn every_command_has_a_page_and_the_shell_completes_it() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let made = Command::new(built("documents")).arg(folder.path()).status().expect("documents starts");
    assert!(made.success());
    for (program, command) in
        [("stopline", "replay"), ("stopline-agent", "enroll"), ("stopline-fleet", "publish")]
    {
        let page = folder.path().join(format!("man1/{program}-{command}.1"));
        let page = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{page:?}: {error}"));
        assert!(page.contains(".TH") && page.contains("SYNOPSIS") && page.contains("OPTIONS"), "{page}");
        let help = Command::new(built(program)).args([command, "--help"]).output().expect("starts");
        let help = String::from_utf8(help.stdout).expect("UTF-8");
        for option in help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 4) {
            let option = option.trim_end_matches(|letter: char| !letter.is_ascii_lowercase());
            let printed = option.replace('-', "\\-");
            assert!(
                page.contains(&printed),
                "{program} {command}: {option} is in --help and not in the page"
            );
        }
        let offered = complete(&folder.path().join(format!("completions/{program}.bash")), program);
        assert!(offered.contains(&command.to_owned()), "{program}: bash offers {offered:?}");
    }
}

/// What bash offers after the program's name.
fn complete(script: &std::path::Path, program: &str) -> Vec<String> {
    let text = format!(
        "source {script:?}; COMP_WORDS=({program} ''); COMP_CWORD=1; set -- $(complete -p {program}); \
         while [ \"$1\" != -F ]; do shift; done; \"$2\" {program} '' {program}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash").args(["-c", &text]).output().expect("bash starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}
