//! `index.json`, the list of the files.

use std::collections::HashSet;

use serde_json::Value;

use super::super::case::{Case, CaseError, Read};
use super::super::fields::{FieldError, Fields, array, kind, object, string};
use super::Contents;
use crate::codec::key_wrap::SCHEME_ID;

/// Reads the index; `exists` tells whether a file is there.
pub(in super::super) fn read(file: &Fields, exists: &dyn Fn(&str) -> bool) -> Result<Contents, FieldError> {
    let scheme = string(file, "schemeId")?;
    let kinds = match file.get("kinds") {
        // Some publishers describe the kinds, some only name them.
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => object(file, "kinds")?.keys().cloned().collect::<Vec<_>>(),
    };
    let mut cases = vec![Ok(whole(scheme))];
    let mut ids = HashSet::new();
    for (index, value) in array(file, "vectors")?.iter().enumerate() {
        cases.push(entry(value, index, &kinds, &mut ids, exists));
    }
    let known = ["schemeId", "kinds", "vectors", "description", "version", "$schema", "generator"];
    let unknown = file.keys().filter(|name| !known.contains(&name.as_str())).map(|name| format!("the file's `{name}`"));
    Ok(Contents { cases, unknown: unknown.collect() })
}

fn whole(scheme: &str) -> Case {
    let mut case = Case { name: "schemeId".into(), settled: true, ..Case::default() };
    if scheme != SCHEME_ID {
        case.wrong.push(format!("`schemeId` is {scheme:?} instead of {SCHEME_ID:?}"));
    }
    case
}

fn entry(
    value: &Value,
    index: usize,
    kinds: &[String],
    ids: &mut HashSet<String>,
    exists: &dyn Fn(&str) -> bool,
) -> Read {
    let name = value.get("id").and_then(Value::as_str).map_or_else(|| format!("vector {}", index + 1), str::to_owned);
    let mut case = Case { name: name.clone(), settled: true, ..Case::default() };
    let mut read = |case: &mut Case| -> Result<(), FieldError> {
        let fields =
            value.as_object().ok_or_else(|| FieldError::new("vectors", format!("has {} in it", kind(value))))?;
        let (id, file, sort) = (string(fields, "id")?, string(fields, "file")?, string(fields, "kind")?);
        if !ids.insert(id.to_owned()) {
            case.wrong.push(format!("the id {id:?} stands there twice"));
        }
        if !kinds.iter().any(|known| known == sort) {
            case.wrong.push(format!("`kind` is {sort:?}, which `kinds` doesn't have"));
        }
        let place = file.trim_start_matches("./").trim_start_matches("vectors/");
        let plain = !place.is_empty() && !place.contains(['/', '\\']);
        if plain && !exists(place) {
            case.wrong.push(format!("`file` is {file:?}, which isn't there"));
        } else if !plain {
            case.unchecked.push(format!("`file` is {file:?}, which lies elsewhere"));
        }
        let anchors = fields.get("anchors").map_or(Ok(&[][..]), |_| array(fields, "anchors"))?;
        if !anchors.iter().all(Value::is_string) {
            return Err(FieldError::new("anchors", "has something else than strings in it"));
        }
        case.unchecked.push("`specSection`, `expects` and `anchors`, remarks".into());
        Ok(())
    };
    read(&mut case).map_err(|error| CaseError { case: name, error })?;
    Ok(case)
}
