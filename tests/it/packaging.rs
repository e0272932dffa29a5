//! The way into other projects' CI: workflows, action, template and what they run.

use std::path::Path;
use std::process::Command;

use yaml_rust2::{Yaml, YamlLoader};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn yaml(name: &str) -> Yaml {
    YamlLoader::load_from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}")).remove(0)
}

fn workflows() -> Vec<String> {
    let names = std::fs::read_dir(root().join(".github/workflows")).unwrap();
    names.map(|entry| format!(".github/workflows/{}", entry.unwrap().file_name().into_string().unwrap())).collect()
}

/// Every value under a key, wherever it stands.
fn values<'a>(yaml: &'a Yaml, key: &str, found: &mut Vec<&'a Yaml>) {
    match yaml {
        Yaml::Hash(members) => {
            for (name, value) in members {
                if name.as_str() == Some(key) {
                    found.push(value);
                }
                values(value, key, found);
            }
        }
        Yaml::Array(items) => items.iter().for_each(|item| values(item, key, found)),
        _ => {}
    }
}

/// Holds shell lines to what bash can parse and to what can't be injected.
fn is_sound(name: &str, script: &str) {
    let checked = Command::new("bash").args(["-n", "-c", script]).output().unwrap();
    assert!(checked.status.success(), "{name}: {}\n{script}", String::from_utf8_lossy(&checked.stderr));
    // What an expression gives is put into the text of the script: it comes in by the environment instead.
    assert!(!script.contains("${{"), "{name}: an expression in a script\n{script}");
}

#[test]
fn workflows_and_action_are_sound() {
    for name in workflows().iter().map(String::as_str).chain(["action.yml"]) {
        let file = yaml(name);
        let (mut runs, mut uses) = (Vec::new(), Vec::new());
        values(&file, "run", &mut runs);
        values(&file, "uses", &mut uses);
        assert!(!uses.is_empty(), "{name}");
        for script in runs {
            is_sound(name, script.as_str().unwrap());
        }
        for action in uses {
            let action = action.as_str().unwrap();
            assert!(
                action == "./" || action.split_once('@').is_some_and(|(_, tag)| tag.starts_with('v')),
                "{name}: {action}"
            );
        }
        if name == "action.yml" {
            assert_eq!(file["runs"]["using"].as_str(), Some("composite"));
            continue;
        }
        for job in file["jobs"].as_hash().unwrap().values() {
            assert!(job["runs-on"].as_str().is_some() && job["steps"].as_vec().is_some(), "{name}");
        }
        assert!(!file["permissions"].is_badvalue(), "{name}: a workflow says what it may");
    }
}

#[test]
fn the_action_passes_on_what_it_takes() {
    let action = yaml("action.yml");
    let source = text("action.yml");
    for input in action["inputs"].as_hash().unwrap().keys() {
        let name = input.as_str().unwrap();
        assert!(source.contains(&format!("inputs.{name}")), "{name} is taken and not used");
    }
    let script = text("packaging/judge.sh");
    for (_, output) in action["outputs"].as_hash().unwrap() {
        let value = output["value"].as_str().unwrap();
        let name = value.split("outputs.").nth(1).unwrap().trim_end_matches(" }}");
        assert!(script.contains(&format!("{name}=")) || script.contains(&format!(":{name}")), "nothing writes {name}");
    }
    // Every option that the files name is one.
    let help = crate::cli::run(&["--help"], 0).0;
    let known = |word: &str| help.contains(&format!("{word} ")) || help.contains(&format!("{word}\n"));
    for option in script.split(|c: char| c.is_whitespace() || c == '(').filter(|word| word.starts_with("--")) {
        assert!(known(option), "judge.sh: {option}");
    }
}

#[test]
fn the_template_runs_the_same_script() {
    let template = yaml("packaging/gitlab-ci.yml");
    let job = &template[".avp-conform"];
    for part in ["before_script", "script"] {
        for line in job[part].as_vec().unwrap() {
            is_sound("gitlab-ci.yml", line.as_str().unwrap());
        }
    }
    assert!(job["script"][0].as_str().unwrap().contains("packaging/judge.sh"));
    assert_eq!(job["artifacts"]["reports"]["junit"].as_str(), Some("avp-conformance/avp.xml"));
}

#[cfg(unix)]
#[test]
fn the_script_judges_and_tells_its_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let program = assert_cmd::cargo::cargo_bin("avp-conform");
    let path = std::env::join_paths(
        std::iter::once(program.parent().unwrap().to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let judge = |arguments: &str| {
        let outputs = folder.path().join("outputs");
        let _ = std::fs::remove_file(&outputs);
        let output = Command::new("bash")
            .arg(root().join("packaging/judge.sh"))
            .current_dir(folder.path())
            .env("PATH", path.as_ref().unwrap())
            .envs([("ARGS", arguments), ("GITHUB_ACTIONS", "true"), ("REPORTS", "re ports")])
            .env("GITHUB_OUTPUT", &outputs)
            .env("GITHUB_STEP_SUMMARY", folder.path().join("summary.md"))
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), std::fs::read_to_string(outputs).unwrap_or_default(), text)
    };
    let (status, outputs, text) = judge("--embedded --fault push-any-version --only 'push/*'");
    assert_eq!(status, Some(1), "{text}");
    for line in ["verdict=not-conformant", "exit-status=1", "errors=0"] {
        assert!(outputs.lines().any(|each| each == line), "{line}\n{outputs}");
    }
    assert!(outputs.lines().any(|line| {
        line.strip_prefix("failed=").is_some_and(|number| number.parse::<u32>().is_ok_and(|number| number > 0))
    }));
    assert!(text.contains("::error title=push/version-never-falls"), "{text}");
    for report in ["avp.json", "avp.html", "avp.xml", "avp.sarif"] {
        assert!(folder.path().join("re ports").join(report).exists(), "{report}");
    }
    assert!(std::fs::read_to_string(folder.path().join("summary.md")).unwrap().contains("# ❌ Not conformant"));
    // Nothing in the arguments is run.
    let (status, _, text) = judge("--embedded --only '$(touch owned)' `touch owned`");
    assert!(status == Some(2) && !folder.path().join("owned").exists(), "{text}");
}

#[test]
fn the_image_is_small_and_nobodys() {
    let lines = text("packaging/Dockerfile");
    let last = lines.rfind("FROM ").unwrap();
    assert!(lines[last..].starts_with("FROM scratch") && lines[last..].contains("\nUSER 65532"), "{lines}");
    assert!(lines[last..].contains("ENTRYPOINT [\"/avp-conform\"]"));
    // What cargo binstall looks for is what the release workflow makes.
    let (manifest, release) = (text("Cargo.toml"), text(".github/workflows/release.yml"));
    for target in
        ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", "x86_64-apple-darwin", "aarch64-apple-darwin"]
    {
        assert!(release.contains(target), "{target}");
    }
    assert!(
        manifest.contains("avp-conform-{ version }-{ target }.tar.gz")
            && release.contains("name=\"avp-conform-${GITHUB_REF_NAME#v}-$TARGET\"")
    );
}
