//! Where requests of ours go, and what an answer may be.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

async fn asked(outbound: &Outbound, url: &str) -> Option<OutboundError> {
    // Two libraries of TLS in one process panic unless one is chosen.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let request = oauth2::http::Request::post(url).body(Vec::new()).unwrap();
    outbound.send(request).await.err()
}

/// Threat V100: what a URL can name that is not the public internet, in every spelling.
#[tokio::test]
async fn nothing_but_the_public_internet_is_asked_unless_the_operator_says_so() {
    let outbound = Outbound::default();
    for closed in [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://0.0.0.0/",
        "https://10.0.0.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://172.31.255.255/",
        "https://192.168.0.1/",
        "https://198.18.0.1/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[::]/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[2001:0:7f00:1::]/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[ff02::1]/",
        "https://localhost/",
    ] {
        let error = asked(&outbound, closed).await;
        assert_eq!(error, Some(OutboundError::Closed), "{closed}");
    }
    for other in ["http://example.org/", "gopher://example.org/"] {
        let error = asked(&outbound, other).await;
        assert_eq!(error, Some(OutboundError::NotHttps), "{other}");
    }
    for public in ["8.8.8.8", "2606:4700:4700::1111", "192.0.1.1", "100.63.0.1"] {
        assert!(is_open(&[], public.parse().unwrap()), "{public}");
    }
    let opened: [IpNet; 1] = ["10.1.0.0/16".parse().unwrap()];
    for (ip, open) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("10.2.0.1", false),
    ] {
        assert_eq!(is_open(&opened, ip.parse().unwrap()), open, "{ip}");
    }
}

fn network(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// Threat V100: a name that leads to several addresses, or to another one the next time it is asked for. What was
/// judged is what is connected to.
#[tokio::test]
async fn a_name_is_good_for_the_open_ones_of_its_addresses() {
    let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 25);
    let both = vec![at("127.0.0.1"), at("8.8.8.8"), at("::1"), at("10.1.2.3")];
    assert_eq!(kept(&[], both.clone()), Ok(vec![at("8.8.8.8")]));
    let opened = [network("10.1.0.0/16")];
    let some = vec![at("8.8.8.8"), at("10.1.2.3")];
    assert_eq!(kept(&opened, both), Ok(some));
    let closed = kept(&opened, vec![at("127.0.0.1"), at("10.2.0.1")]);
    assert_eq!(closed, Err(OutboundError::Closed));
    assert_eq!(kept(&[], Vec::new()), Ok(Vec::new()));

    let judged = async |open: &[&str], host| {
        let outbound = Outbound::new(open.iter().map(|text| network(text)));
        outbound.judged((host, 25)).await
    };
    assert_eq!(
        judged(&[], "localhost").await,
        Ok(None),
        "nothing is opened"
    );
    let closed = Err(OutboundError::Closed);
    for host in ["localhost", "127.0.0.1", "::1", "10.2.0.1", "0.0.0.0"] {
        assert_eq!(judged(&["10.1.0.0/16"], host).await, closed, "{host}");
    }
    let next_door = judged(&["127.0.0.0/8"], "127.0.0.1").await;
    assert_eq!(next_door, Ok(Some(vec![at("127.0.0.1")])));
    let nowhere = judged(&["127.0.0.0/8"], "name.invalid").await;
    assert_eq!(nowhere, Err(OutboundError::Unreachable));
}

/// A server that answers each connection with these bytes, and then with nothing.
async fn server(tls: &Arc<rustls::ServerConfig>, answer: Vec<u8>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (visits, tls) = (Arc::new(AtomicUsize::new(0)), Arc::clone(tls));
    let counted = Arc::clone(&visits);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&tls));
            let answer = answer.clone();
            tokio::spawn(async move {
                let Ok(mut socket) = acceptor.accept(socket).await else {
                    return;
                };
                let mut asked = [0; 1024];
                let _ = socket.read(&mut asked).await;
                let _ = socket.write_all(&answer).await;
                let _ = socket.flush().await;
                // Until the other side has had enough.
                while socket.read(&mut asked).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    (port, visits)
}

/// Threat V100: a redirect is an answer like others and leads nowhere; what is too long or too slow is none; and no
/// error says what was answered.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_short_soon_and_leads_nowhere() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private);
    let tls = Arc::new(tls.unwrap());
    let trusted = reqwest::Certificate::from_der(certificate.der()).unwrap();
    let open: Arc<[IpNet]> = [network("127.0.0.0/8"), network("::1/128")].into();
    let client = builder(Arc::clone(&open)).add_root_certificate(trusted);
    let outbound = Outbound {
        open,
        client: Arc::new(OnceCell::new_with(Some(client.build().unwrap()))),
    };
    let ask = async |port: u16| {
        let request = oauth2::http::Request::post(format!("https://localhost:{port}/"));
        outbound.send(request.body(Vec::new()).unwrap()).await
    };
    let head = |status: &str, length: usize| {
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n").into_bytes()
    };

    let (inside, visits) = server(&tls, Vec::new()).await;
    let mut redirect = head("302 Found", 0);
    redirect.extend(format!("location: https://localhost:{inside}/\r\n\r\n").into_bytes());
    let (port, _) = server(&tls, redirect).await;
    let answer = ask(port).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body().len()), (302, 0));
    assert_eq!(visits.load(Ordering::SeqCst), 0, "nobody followed");

    for (length, taken) in [(OUTBOUND_BYTES, true), (OUTBOUND_BYTES + 1, false)] {
        let mut long = head("200 OK", length);
        long.extend(b"\r\n");
        long.extend(vec![b'x'; length]);
        let (port, _) = server(&tls, long).await;
        let read = ask(port).await.map(|answer| answer.body().len());
        let expected = match taken {
            true => Ok(length),
            false => Err(OutboundError::TooLong),
        };
        assert_eq!(read, expected);
    }
    // Told to be two gigabytes long, and then of no end.
    let mut endless = head("200 OK", 2 << 30);
    endless.extend(b"\r\n");
    endless.extend(vec![b'x'; 2 * OUTBOUND_BYTES]);
    let (port, _) = server(&tls, endless).await;
    assert_eq!(ask(port).await.err(), Some(OutboundError::TooLong));

    let mut half = head("200 OK", 10);
    half.extend(b"\r\nsecret");
    let (slow, _) = server(&tls, half).await;
    let (silent, _) = server(&tls, Vec::new()).await;
    let asked = Instant::now();
    let (slow, silent) = tokio::join!(ask(slow), ask(silent));
    assert!(asked.elapsed() < OUTBOUND + Duration::from_secs(5));
    for error in [slow.unwrap_err(), silent.unwrap_err()] {
        assert_eq!(error, OutboundError::Unreachable);
        let said = error.to_string();
        assert!(
            !said.contains("secret") && !said.contains("localhost"),
            "{said}"
        );
    }
}
