//! The bank as it is committed, and the checker on it and on tampered copies.

use std::path::Path;

use avp_conform::vectors::{CaseResult, bank, check};

fn committed() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"))
}

#[test]
fn the_committed_files_are_the_generated_ones() {
    for file in bank().unwrap() {
        let path = committed().join(file.name);
        if std::env::var_os("AVP_WRITE_VECTORS").is_some() {
            std::fs::write(&path, &file.text).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(text == file.text, "{} differs: run `avp-conform vectors generate`", path.display());
    }
}

#[test]
fn the_bank_is_right() {
    let checked = check(committed()).unwrap();
    let problems: Vec<_> = checked
        .files
        .iter()
        .flat_map(|file| file.cases.iter().map(move |case| (file, case)))
        .filter(|(_, case)| case.verdict != CaseResult::Right || !case.remarks.is_empty())
        .map(|(file, case)| format!("{}: {}: {:?} {:?}", file.name, case.name, case.problems, case.remarks))
        .collect();
    assert_eq!(problems, [] as [String; 0]);
    assert_eq!(checked.exit_code(), 0);
    assert_eq!(checked.absent_files, [] as [&str; 0]);
    assert!(checked.files.iter().all(|file| file.unknown_members.is_empty() && file.unreadable.is_none()));
    assert!(checked.count(CaseResult::Right) > 400, "{}", checked.count(CaseResult::Right));
}

mod tampering {
    //! Copies of the bank with one value changed: the checker has to find each.

    use std::path::Path;

    use avp_conform::vectors::{CaseResult, check};
    use serde_json::Value;

    use super::committed;

    /// Members whose change changes nothing that can be computed.
    const REMARKS: &[&str] = &[
        "name",
        "reason",
        "flags",
        "source",
        "description",
        "direction",
        "tamperEpoch",
        "expiresAt",
        "mustFail",
        "expects",
        "specSection",
        "anchors",
        "id",
    ];

    /// Pointers to every value in a case, remarks left out.
    fn leaves(value: &Value, pointer: String, out: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (name, value) in map.iter().filter(|(name, _)| !REMARKS.contains(&name.as_str())) {
                    leaves(value, format!("{pointer}/{name}"), out);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate().take(2) {
                    leaves(value, format!("{pointer}/{index}"), out);
                }
            }
            Value::Null => {}
            _ => out.push(pointer),
        }
    }

    /// Another value of the same kind.
    fn tampered(value: &Value) -> Value {
        match value {
            Value::String(text) if text.is_empty() => "00".into(),
            Value::String(text) => {
                let mut characters: Vec<char> = text.chars().collect();
                let middle = characters.len() / 2;
                characters[middle] = if characters[middle] == '1' { '2' } else { '1' };
                characters.into_iter().collect::<String>().into()
            }
            Value::Number(number) => (number.as_i64().unwrap() ^ 1).into(),
            Value::Bool(flag) => (!flag).into(),
            other => panic!("{other}"),
        }
    }

    fn exit_code_with(folder: &Path, name: &str, file: &Value) -> u8 {
        std::fs::write(folder.join(name), file.to_string()).unwrap();
        check(folder).unwrap().exit_code()
    }

    #[test]
    fn every_changed_value_is_found() {
        let mut tried = 0;
        for name in [
            "aad",
            "key-binding-message",
            "hkdf",
            "x25519",
            "ed25519",
            "payload-aead",
            "key-wrap",
            "federation",
            "base64",
            "payload",
            "key-binding-signature",
            "auth-exchange",
            "rotation",
            "index",
        ] {
            let name = &format!("{name}.json");
            let folder = tempfile::tempdir().unwrap();
            let mut file: Value = serde_json::from_slice(&std::fs::read(committed().join(name)).unwrap()).unwrap();
            for list in ["cases", "tokens", "uris", "vectors"] {
                if let Some(cases) = file[list].as_array_mut() {
                    cases.truncate(6);
                    if name == "index.json" {
                        cases.iter().for_each(|row| {
                            std::fs::write(folder.path().join(row["file"].as_str().unwrap()), "").unwrap()
                        });
                    }
                }
            }
            if name == "index.json" {
                file["kinds"] = serde_json::json!({ "deterministic": "", "rfc-primitive": "", "composition": "" });
            } else {
                assert_eq!(exit_code_with(folder.path(), name, &file), 0, "{name}");
            }
            let mut pointers = Vec::new();
            for list in ["cases", "tokens", "uris", "vectors", "schemeId"] {
                leaves(&file[list], format!("/{list}"), &mut pointers);
            }
            for pointer in pointers {
                let mut changed = file.clone();
                let value = changed.pointer_mut(&pointer).unwrap();
                *value = tampered(value);
                let wrong = exit_code_with(folder.path(), name, &changed) == 1 || {
                    // The empty companions of the index are unreadable; only the index itself counts.
                    name == "index.json" && check(folder.path()).unwrap().count(CaseResult::Wrong) > 0
                };
                assert!(wrong, "{name}{pointer} isn't found");
                tried += 1;
            }
        }
        assert!(tried > 250, "{tried}");
    }

    #[test]
    fn a_negative_case_that_is_valid_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let valid: Value =
            serde_json::from_slice(&std::fs::read(committed().join("payload-aead.json")).unwrap()).unwrap();
        let mut case = valid["cases"][3].clone();
        case["op"] = "payload-decrypt".into();
        case["expect"] = "reject".into();
        case["mutation"] = "none".into();
        let file = serde_json::json!({ "description": "", "cases": [case.clone()] });
        assert_eq!(exit_code_with(folder.path(), "negative.json", &file), 1);
        case["expect"] = "accept".into();
        let file = serde_json::json!({ "description": "", "cases": [case.clone()] });
        assert_eq!(exit_code_with(folder.path(), "negative.json", &file), 0);
        case["expect"] = "maybe".into();
        let file = serde_json::json!({ "description": "", "cases": [case] });
        assert_eq!(exit_code_with(folder.path(), "negative.json", &file), 2);
    }

    #[test]
    fn what_can_not_be_read_is_told_with_file_case_and_member() {
        let folder = tempfile::tempdir().unwrap();
        let problems = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            let checked = check(folder.path()).unwrap();
            assert_eq!(checked.exit_code(), 2, "{text}");
            let file = &checked.files[0];
            let cases = file
                .cases
                .iter()
                .flat_map(|case| case.problems.iter().map(|problem| format!("{}: {problem}", case.name)));
            cases.chain(file.unreadable.clone()).collect::<Vec<_>>().join("; ")
        };
        let said = |text: &str| problems("aad.json", text);
        assert!(said("{").starts_with("isn't JSON"));
        assert!(said("[]").contains("an array instead of an object"));
        assert_eq!(said("{}"), "`cases` is missing");
        assert_eq!(said(r#"{"cases":7}"#), "`cases` is an integer instead of an array");
        assert_eq!(said(r#"{"cases":[]}"#), "has no cases");
        assert_eq!(said(r#"{"cases":[7]}"#), "case 1: `cases` is an integer instead of an object");
        let case = |version: &str| {
            format!(
                r#"{{"cases":[{{"name":"n","repoId":"r","payloadVersion":{version},"keyEpoch":0,"expectedAadHex":""}}]}}"#
            )
        };
        assert_eq!(said(&case("\"1\"")), "n: `payloadVersion` is a string instead of an integer of 64 bits");
        assert_eq!(said(&case("1.0")), "n: `payloadVersion` is a number instead of an integer of 64 bits");
        assert_eq!(said(&case("9223372036854775808")), "n: `payloadVersion` is beyond int64");
        assert_eq!(said(r#"{"cases":[{"repoId":"r"}]}"#), "case 1: `payloadVersion` is missing");
        std::fs::remove_file(folder.path().join("aad.json")).unwrap();
        assert_eq!(check(folder.path()).unwrap().exit_code(), 2, "no vectors at all");
        assert!(check(&folder.path().join("nowhere")).is_err());
    }
}

#[test]
fn files_of_another_publisher_with_quirks_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    // No names, members of their own, capitals, a byte order mark, a placeholder instead of a key, foreign files.
    write(
        "aad.json",
        "\u{feff}{\r\n\"cases\":[{\"repoId\":\"r\",\"payloadVersion\":1,\"keyEpoch\":0,\"expectedAadHex\":\"721F00000000000000010000000000000000\",\"mood\":\"fine\"}]}",
    );
    write("README.md", "hello");
    write("future.json", "not even JSON");
    let invite = r#"{"v":1,"ed25519PublicKey":"Ym9iLWVkMjU1MTktcHVibGljLWtleQ","x25519PublicKey":"Ym9iLXgyNTUxOS1wdWJsaWMta2V5"}"#;
    let token = avp_conform::codec::base64::encode_url(invite.as_bytes());
    let federation = serde_json::json!({
        "description": "d",
        "tokens": [{ "name": "placeholder", "schema": "InviteRequest", "direction": "to the inviter",
            "decoded": serde_json::from_str::<serde_json::Value>(invite).unwrap(), "canonicalJson": invite, "base64url": token }],
        "uris": [{ "name": "u", "uri": "avp://vault.example/r", "host": "vault.example", "repoId": "r" }],
    });
    write("federation.json", &federation.to_string());
    write(
        "hkdf.json",
        r#"{"cases":[{"name":"sha-1","hash":"SHA-1","ikmHex":"00","saltHex":"","infoHex":"","length":20,"prkHex":"00","okmHex":"00"}]}"#,
    );
    let nine = format!("09{}", "00".repeat(31));
    let iterated = |output: &str| {
        format!(
            r#"{{"cases":[{{"iterations":1000,"scalarHex":"{nine}","uCoordinateHex":"{nine}","outputHex":"{output}"}}]}}"#
        )
    };
    write("x25519.json", &iterated("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
    write("negative.json", r#"{"cases":[{"name":"n","op":"time-travel","mutation":"m","expect":"reject","x":1}]}"#);
    let checked = check(folder.path()).unwrap();
    assert_eq!(checked.exit_code(), 0, "{checked:#?}");
    assert_eq!((checked.count(CaseResult::Right), checked.count(CaseResult::NotChecked)), (4, 2));
    assert_eq!(checked.unknown_files, ["README.md", "future.json"]);
    assert!(checked.absent_files.contains(&"key-wrap.json") && checked.absent_files.contains(&"index.json"));
    let case = |file: &str, place: usize| {
        let file = checked.files.iter().find(|found| found.name == file).unwrap();
        (file.cases[place].clone(), file.unknown_members.clone())
    };
    assert_eq!(case("aad.json", 0).1, ["`mood` (1 of cases)"]);
    assert!(case("aad.json", 0).0.remarks[0].contains("capitals"));
    assert!(case("federation.json", 0).0.remarks[0].contains("placeholder"));
    assert!(case("negative.json", 0).0.unchecked[0].contains("time-travel"));
}

#[test]
fn the_committed_files_conform_to_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(
        &std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema/vectors.schema.json")).unwrap(),
    )
    .unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    for file in bank().unwrap() {
        let mut one = schema.clone();
        one["$ref"] = format!("#/$defs/{}", file.name).into();
        one.as_object_mut().unwrap().remove("anyOf");
        let validator = jsonschema::validator_for(&one).unwrap();
        let value = serde_json::from_str(&file.text).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(errors, [] as [String; 0], "{}", file.name);
        assert!(
            !validator.is_valid(&serde_json::json!({ "description": "d", "cases": [{}], "tokens": [{}], "uris": [] })),
            "{}",
            file.name
        );
    }
}

mod commands {
    //! The command as a person types it.

    use std::process::{Command, Output};

    fn run(arguments: &[&str]) -> (Option<i32>, String) {
        let Output { status, stdout, stderr } =
            Command::new(env!("CARGO_BIN_EXE_avp-conform")).args(arguments).output().unwrap();
        (status.code(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
    }

    #[test]
    fn generate_and_its_check() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("new").to_string_lossy().into_owned();
        assert_eq!(run(&["vectors", "generate", "--check", &place]).0, Some(1));
        assert_eq!(run(&["vectors", "generate", &place]).0, Some(0));
        let (status, text) = run(&["vectors", "generate", "--check", &place]);
        assert_eq!((status, text.contains("as generated")), (Some(0), true), "{text}");
        let file = folder.path().join("new/aad.json");
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("what most", "What most")).unwrap();
        let (status, text) = run(&["vectors", "generate", "--check", &place]);
        assert_eq!(status, Some(1));
        assert!(text.contains("aad.json: from line 6 on"), "{text}");
    }

    #[test]
    fn check_says_file_case_and_values() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_string_lossy().into_owned();
        assert_eq!(run(&["vectors", "generate", &place]).0, Some(0));
        let file = folder.path().join("key-wrap.json");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("avp/rdk-wrap/v1", "avp/rdk-wrap/v2", 1)).unwrap();
        let (status, text) = run(&["vectors", "check", &place]);
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains("key-wrap.json: 1 wrong, 10 right\n  wrong alice\n"), "{text}");
        let (status, text) = run(&["vectors", "check", &place, "--format", "json"]);
        assert_eq!(status, Some(1));
        assert!(text.contains("\"verdict\": \"wrong\""));
        let (status, text) = run(&["vectors", "check", "/no/such/folder"]);
        assert_eq!(status, Some(2), "{text}");
    }
}
