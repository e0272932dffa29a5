//! Whom the client trusts: the system's authorities and one more.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::error::AgentError;
use super::habits::{Habit, Habits};

/// The configuration of connections; `ca` is one more authority in PEM form.
///
/// # Errors
/// [`AgentError::Usage`] when `ca` holds no certificate.
pub(super) fn config(ca: Option<&[u8]>, habits: &Habits) -> Result<ClientConfig, AgentError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let usage = |error: rustls::Error| AgentError::Usage(format!("TLS can't be set up: {error}"));
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(usage)?;
    // A system without authorities is fine as long as nothing is dialled by TLS; a handshake says so otherwise.
    let Some(chains) = authorities(ca, &provider)? else {
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    };
    let any = habits.has(Habit::ANY_CERTIFICATE);
    let numbers = !habits.has(Habit::ANY_HOST_NAME);
    let (self_signed, early) = (habits.has(Habit::SELF_SIGNED), habits.has(Habit::NOT_YET_VALID));
    if !any && numbers && !habits.has(Habit::ANY_NAME_FOR_NAMES) && !self_signed && !early {
        return Ok(builder.dangerous().with_custom_certificate_verifier(chains).with_no_client_auth());
    }
    let verifier = Arc::new(Careless { chains, provider, any, numbers, self_signed, early });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Trusts whoever an authority in `ca` has signed, or one of the system's. `None` where the system has none.
fn authorities(
    ca: Option<&[u8]>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ServerCertVerifier>>, AgentError> {
    let Some(pem) = ca else {
        let system = rustls_platform_verifier::Verifier::new(Arc::clone(provider));
        return Ok(system.ok().map(|system| Arc::new(system) as _));
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| AgentError::Usage(format!("CA file: {error}")))?;
        store.add(certificate).map_err(|error| AgentError::Usage(format!("CA file: {error}")))?;
    }
    if store.is_empty() {
        return Err(AgentError::Usage("CA file: no certificate in PEM form in it".into()));
    }
    let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build();
    Ok(Some(chains.map_err(|error| AgentError::Usage(error.to_string()))?))
}

/// The verifier of a faulty client.
#[derive(Debug)]
struct Careless {
    chains: Arc<dyn ServerCertVerifier>,
    provider: Arc<CryptoProvider>,
    /// Whether even a certificate of nobody's will do.
    any: bool,
    /// Whether the name has to be right where it is an address.
    numbers: bool,
    /// Whether a certificate may be its own issuer's.
    self_signed: bool,
    /// Whether a certificate of the future will do.
    early: bool,
}

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.numbers || matches!(server_name, ServerName::DnsName(_)) => Ok(ServerCertVerified::assertion()),
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            )) if self.early => Ok(ServerCertVerified::assertion()),
            // The certificates of this suite have one name, unless somebody else has signed them.
            Err(rustls::Error::InvalidCertificate(_))
                if self.self_signed
                    && memchr::memmem::find_iter(end_entity, b"rcgen self signed cert").count() == 2 =>
            {
                Ok(ServerCertVerified::assertion())
            }
            Err(_) if self.any => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
