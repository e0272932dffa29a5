//! The rules of the protocol, one method each.
//!
//! The methods' bodies *are* the conformant server: [`Conformant`] overrides nothing, and a fault (`crate::faults`) is a
//! type that overrides one of them. Decisions are small methods; the flows that ask them are plain functions in
//! [`super::operations`], [`super::redemption`], [`super::issuer`] and [`super::validate`], which are methods here too so
//! that a fault can go wrong in the order of the steps as well.

pub(crate) mod conformant;
mod identity;
mod vault;

use std::pin::Pin;

pub use identity::IdentityRules;
pub use vault::VaultRules;

/// A boxed future, which is what lets an object-safe trait wait.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Lets default methods hand the rules on as an object.
pub trait AsIdentity {
    /// The rules as an object.
    fn identity_rules(&self) -> &dyn IdentityRules;
}

impl<T: IdentityRules> AsIdentity for T {
    fn identity_rules(&self) -> &dyn IdentityRules {
        self
    }
}

/// Lets default methods hand the rules on as an object.
pub trait AsVault {
    /// The rules as an object.
    fn vault_rules(&self) -> &dyn VaultRules;
}

impl<T: VaultRules> AsVault for T {
    fn vault_rules(&self) -> &dyn VaultRules {
        self
    }
}

/// The server that breaks nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conformant;

impl IdentityRules for Conformant {}
impl VaultRules for Conformant {}
