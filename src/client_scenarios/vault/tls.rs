//! A certificate authority of our own, made once per process, and certificates that are right or wrong in one way.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::Bend;
use super::record::{ArrivedAt, Channel};

/// The authority: what a client is to trust, and every certificate that a run may need.
pub struct Authority {
    /// Its certificate in PEM form.
    pub pem: String,
    right: TlsAcceptor,
    unknown: TlsAcceptor,
    wrong_name: TlsAcceptor,
    expired: TlsAcceptor,
    not_yet: TlsAcceptor,
    self_signed: TlsAcceptor,
}

static AUTHORITY: LazyLock<Result<Authority, String>> = LazyLock::new(|| Authority::make().map_err(|e| e.to_string()));

impl Authority {
    /// The authority of this process.
    ///
    /// # Errors
    /// In words, when certificates can't be made here.
    pub fn get() -> Result<&'static Self, String> {
        AUTHORITY.as_ref().map_err(Clone::clone)
    }

    fn make() -> Result<Self, Box<dyn std::error::Error>> {
        let authority = |name: &str| -> Result<_, rcgen::Error> {
            let mut params = CertificateParams::new(Vec::new())?;
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
            CertifiedIssuer::self_signed(params, KeyPair::generate()?)
        };
        let (ours, nobodys) = (authority("avp-conform test authority")?, authority("an authority that nobody knows")?);
        // Of somebody's signature, or of its own.
        let acceptor = |names: &[&str], years: Range<i32>, issuer: Option<&CertifiedIssuer<'static, KeyPair>>| {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
            params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
            params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
            params.use_authority_key_identifier_extension = true;
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
            let certificate = match issuer {
                Some(issuer) => params.signed_by(&key, issuer)?,
                None => params.self_signed(&key)?,
            };
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)?;
            Ok::<_, Box<dyn std::error::Error>>(TlsAcceptor::from(Arc::new(config)))
        };
        let here = ["localhost", "127.0.0.1", "::1"];
        Ok(Self {
            right: acceptor(&here, 2020..2100, Some(&ours))?,
            unknown: acceptor(&here, 2020..2100, Some(&nobodys))?,
            wrong_name: acceptor(&["elsewhere.example"], 2020..2100, Some(&ours))?,
            expired: acceptor(&here, 2020..2021, Some(&ours))?,
            not_yet: acceptor(&here, 2090..2100, Some(&ours))?,
            self_signed: acceptor(&here, 2020..2100, None)?,
            pem: ours.pem(),
        })
    }

    /// Who answers a handshake at a place, after `earlier` others, and what its requests come over.
    pub(super) fn acceptor(&self, bend: Bend, place: ArrivedAt, earlier: u32) -> (TlsAcceptor, Channel) {
        let wrong = match (bend, place) {
            (Bend::TlsUnknownCa, _) | (Bend::IssuerUnknownCa, ArrivedAt::Elsewhere) => &self.unknown,
            (Bend::TlsLater, _) if earlier >= 2 => &self.unknown,
            (Bend::TlsWrongName | Bend::TlsWrongDns, _) => &self.wrong_name,
            (Bend::TlsExpired, _) => &self.expired,
            (Bend::TlsNotYet, _) => &self.not_yet,
            (Bend::TlsSelfSigned, _) => &self.self_signed,
            _ => return (self.right.clone(), Channel::Tls),
        };
        (wrong.clone(), Channel::WrongTls)
    }
}
