//! Servers behind TLS: which certificates are trusted, and `avp://` addresses, which mean HTTPS.

use std::net::SocketAddr;
use std::sync::Arc;

use assert_cmd::Command;
use avp_conform::server;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The built-in server behind a TLS proxy, until it is dropped.
struct Secured {
    address: SocketAddr,
    /// Keeps server and proxy going.
    _runtime: tokio::runtime::Runtime,
    folder: TempDir,
}

impl Secured {
    /// Shows `chain` and proves to have `key`; whoever trusts `trusted` (PEM) trusts it.
    fn start(chain: Vec<CertificateDer<'static>>, key: &KeyPair, trusted: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), trusted).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let address = runtime.block_on(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let grpc = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let inner = server::start_with(server::Config::default(), listener, Some(grpc)).await.unwrap();
            let outer = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = outer.local_addr().unwrap();
            tokio::spawn(proxy(outer, inner, TlsAcceptor::from(Arc::new(config))));
            address
        });
        Self { address, _runtime: runtime, folder }
    }

    /// Runs one check with further arguments; exit status and what was said.
    fn judged(&self, host: &str, arguments: &[&str]) -> (i32, String) {
        let ca = self.folder.path().join("ca.pem");
        let server = format!("{host}:{}", self.address.port());
        let mut command = Command::cargo_bin("avp-conform").unwrap();
        command.args(["--server", &server, "--only", "push/applies", "--timeout", "5s"]);
        command.args(arguments.iter().map(|argument| if *argument == "CA" { ca.to_str().unwrap() } else { argument }));
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    fn is_trusted(&self, host: &str, arguments: &[&str]) {
        let (status, said) = self.judged(host, arguments);
        assert_eq!(status, 0, "{host} {arguments:?}\n{said}");
        assert!(said.contains("1 passed"), "{said}");
    }

    fn is_refused(&self, host: &str, arguments: &[&str], because: &str) {
        let (status, said) = self.judged(host, arguments);
        assert_eq!(status, 3, "{host} {arguments:?}\n{said}");
        let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(because), "{said}");
    }
}

async fn proxy(outer: TcpListener, server: server::Running, tls: TlsAcceptor) {
    let (http, grpc) = (server.addr(), server.grpc().unwrap());
    while let Ok((stream, _)) = outer.accept().await {
        let tls = tls.clone();
        tokio::spawn(async move {
            let Ok(mut outside) = tls.accept(stream).await else { return };
            // Whoever agrees on HTTP/2 in the handshake speaks gRPC.
            let inner = if outside.get_ref().1.alpn_protocol() == Some(b"h2") { grpc } else { http };
            let Ok(mut inside) = TcpStream::connect(inner).await else { return };
            let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
        });
    }
}

fn names() -> CertificateParams {
    CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap()
}

#[test]
fn a_private_authority_is_trusted_if_it_is_given() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = names().signed_by(&key, &authority).unwrap();
    let secured = Secured::start(vec![leaf.der().clone()], &key, &authority.pem());
    secured.is_trusted("https://127.0.0.1", &["--ca-cert", "CA"]);
    secured.is_trusted("https://localhost", &["--ca-cert", "CA"]);
    secured.is_trusted("avp://localhost", &["--ca-cert", "CA"]);
    secured.is_trusted("avp://localhost", &["--ca-cert", "CA", "--profile", "grpc"]);
    secured.is_trusted("grpcs://127.0.0.1", &["--ca-cert", "CA"]);
    secured.is_trusted("grpcs://localhost", &["--insecure"]);
    secured.is_refused("grpcs://127.0.0.1", &[], "--ca-cert");
    secured.is_trusted("https://127.0.0.1", &["--insecure"]);
    secured.is_refused("https://127.0.0.1", &[], "--ca-cert");
    secured.is_refused("http://127.0.0.1", &[], "HTTPS server");
}

/// Both kinds of self-signed certificate: marked as an authority's, as `openssl req -x509` makes them, and not.
#[test]
fn a_self_signed_certificate_is_trusted_if_it_is_given() {
    for is_ca in [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::ExplicitNoCa] {
        let key = KeyPair::generate().unwrap();
        let mut params = names();
        params.is_ca = is_ca;
        let certificate = params.self_signed(&key).unwrap();
        let secured = Secured::start(vec![certificate.der().clone()], &key, &certificate.pem());
        secured.is_trusted("https://127.0.0.1", &["--ca-cert", "CA"]);
        secured.is_refused("https://127.0.0.1", &[], "--ca-cert");
    }
}

/// The name still counts, and so does the date.
#[test]
fn a_given_certificate_is_not_trusted_for_another_name_or_after_its_end() {
    for (name, until, because) in [("elsewhere.example", 2100, "elsewhere.example"), ("127.0.0.1", 2020, "expired")] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.into()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        let secured = Secured::start(vec![certificate.der().clone()], &key, &certificate.pem());
        secured.is_refused("https://127.0.0.1", &["--ca-cert", "CA"], because);
        secured.is_trusted("https://127.0.0.1", &["--insecure"]);
    }
}
