//! Columns that one operation alone writes badly, and those of bindings (SPEC §4, §9).

use super::columns::{bytes, cut, html_escaped, keys, without_end};
use super::table::*;
use super::tools::lock;
use crate::server::refusal::Refusal;
use crate::server::repo::{Repo, VaultCommand};
use crate::server::route::Route;
use crate::server::rules::VaultRules;

/// A server that changes one kind of text where one operation stores it.
struct ColumnOf(Route, fn(&mut Repo));

impl VaultRules for ColumnOf {
    fn stored(&self, route: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        if route == self.0 {
            (self.1)(&mut next);
        }
        next
    }
}

/// A server that takes binding signatures of any length, as the schema has them.
struct Bindings(fn(&mut String));

impl VaultRules for Bindings {
    fn shape(&self, command: &VaultCommand) -> Result<(), Refusal> {
        let mut command = command.clone();
        let members = match &mut command {
            VaultCommand::Create(request) => request.manifest.members.as_mut_slice(),
            VaultCommand::Push(request) => request.rotated_members.as_deref_mut().unwrap_or_default(),
            VaultCommand::Add(request) => std::slice::from_mut(&mut request.member),
            VaultCommand::Remove(request) => request.rewrapped_members.as_mut_slice(),
            VaultCommand::Pull(_) | VaultCommand::Fetch(_) => &mut [],
        };
        members.iter_mut().for_each(|entry| entry.key_binding_sig = None);
        crate::server::validate::command(&command)
    }

    fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        for entry in &mut next.manifest.members {
            if let Some(sig) = &mut entry.key_binding_sig {
                (self.0)(sig);
            }
        }
        next
    }
}

/// The faults of this area.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "added-scheme-html-escaped",
        &STORED_VERBATIM,
        "addMember stores the schemeId of a wrapped key with the escapes of HTML.",
        || vault(ColumnOf(Route::AddMember, |repo| keys(repo, |key| key.scheme_id = html_escaped(&key.scheme_id)))),
    ),
    fault("added-scheme-trimmed", &STORED_VERBATIM, "addMember trims the schemeId of a wrapped key.", || {
        vault(ColumnOf(Route::AddMember, |repo| keys(repo, |key| key.scheme_id = key.scheme_id.trim().to_owned())))
    }),
    fault(
        "added-wrapped-ciphertext-cut-at-512",
        &STORED_VERBATIM,
        "addMember cuts the ciphertext of a wrapped key off after 512 characters.",
        || vault(ColumnOf(Route::AddMember, |repo| keys(repo, |key| cut(&mut key.ciphertext, 512)))),
    ),
    fault(
        "added-binding-loses-last-zeros",
        &BINDING_OPAQUE,
        "addMember loses zero bytes at the end of a binding signature.",
        || {
            vault(ColumnOf(Route::AddMember, |repo| {
                let sigs = repo.manifest.members.iter_mut().filter_map(|entry| entry.key_binding_sig.as_mut());
                sigs.for_each(|sig| bytes(sig, without_end(0)));
            }))
        },
    ),
    fault(
        "removal-scheme-ends-at-nul",
        &STORED_VERBATIM,
        "removeMember stores the schemeId of a wrapped key up to its first NUL.",
        || {
            vault(ColumnOf(Route::RemoveMember, |repo| {
                keys(repo, |key| {
                    key.scheme_id = key.scheme_id.split('\0').next().unwrap_or_default().to_owned();
                })
            }))
        },
    ),
    fault(
        "removal-scheme-cut-at-255",
        &STORED_VERBATIM,
        "removeMember cuts the schemeId of a wrapped key off after 255 characters.",
        || vault(ColumnOf(Route::RemoveMember, |repo| keys(repo, |key| cut(&mut key.scheme_id, 255)))),
    ),
    fault(
        "removal-ciphertext-loses-line-end",
        &STORED_VERBATIM,
        "removeMember loses a line end at the end of a ciphertext.",
        || vault(ColumnOf(Route::RemoveMember, |repo| bytes(&mut repo.envelope.ciphertext, without_end(b'\n')))),
    ),
    fault(
        "removal-ciphertext-cut-at-64k",
        &STORED_VERBATIM,
        "removeMember cuts a ciphertext off after 65,535 characters.",
        || vault(ColumnOf(Route::RemoveMember, |repo| cut(&mut repo.envelope.ciphertext, 65_535))),
    ),
    fault("created-iv-loses-last-zeros", &STORED_VERBATIM, "createRepo loses zero bytes at the end of an IV.", || {
        vault(ColumnOf(Route::CreateRepo, |repo| bytes(&mut repo.envelope.iv, without_end(0))))
    }),
    fault(
        "created-ciphertext-cut-at-4096",
        &STORED_VERBATIM,
        "createRepo cuts a ciphertext off after 4,096 characters.",
        || vault(ColumnOf(Route::CreateRepo, |repo| cut(&mut repo.envelope.ciphertext, 4096))),
    ),
    fault(
        "created-wrapped-scheme-quotes-doubled",
        &STORED_VERBATIM,
        "createRepo doubles the double quotes in the schemeId of a wrapped key.",
        || {
            vault(ColumnOf(Route::CreateRepo, |repo| {
                keys(repo, |key| key.scheme_id = key.scheme_id.replace('"', "\"\""))
            }))
        },
    ),
    fault(
        "created-wrapped-ciphertext-cut-at-255",
        &STORED_VERBATIM,
        "createRepo cuts the ciphertext of a wrapped key off after 255 characters.",
        || vault(ColumnOf(Route::CreateRepo, |repo| keys(repo, |key| cut(&mut key.ciphertext, 255)))),
    ),
    fault(
        "binding-cut-at-128",
        &BINDING_OPAQUE,
        "Binding signatures may be longer than 64 bytes, and are cut off after 128 characters.",
        || vault(Bindings(|sig| cut(sig, 128))),
    ),
    fault(
        "binding-cut-at-255",
        &BINDING_OPAQUE,
        "Binding signatures may be longer than 64 bytes, and are cut off after 255 characters.",
        || vault(Bindings(|sig| cut(sig, 255))),
    ),
    fault(
        "binding-empty-is-absent",
        &BINDING_OPAQUE,
        "A binding signature that isn't 64 bytes long is dropped.",
        || vault(BindingEmptyIsAbsent::default()),
    ),
];

#[derive(Default)]
struct BindingEmptyIsAbsent {
    dropped: std::sync::Mutex<usize>,
}

impl VaultRules for BindingEmptyIsAbsent {
    fn shape(&self, command: &VaultCommand) -> Result<(), Refusal> {
        Bindings(|_| {}).shape(command)
    }

    fn stored(&self, _: Route, _: Option<&Repo>, mut next: Repo) -> Repo {
        for entry in &mut next.manifest.members {
            if entry.key_binding_sig.as_ref().is_some_and(|sig| sig.len() != 88) {
                entry.key_binding_sig = None;
                *lock(&self.dropped) += 1;
            }
        }
        next
    }
}
