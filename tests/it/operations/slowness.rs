//! Clients that take their time (reliability R-23): each bad connection is closed, and nobody else waits.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::process::{Answer, Place, Server, receive};

const DISCOVERY: &str = "/realms/master/.well-known/openid-configuration";

/// Sends `start`, then `drip` every half second until the server has enough of it.
fn drip(server: &Server<'_>, start: &str, drip: &str) -> (Option<Answer>, Duration) {
    let began = Instant::now();
    let mut stream = server.connect();
    stream.write_all(start.as_bytes()).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let drip = drip.to_owned();
    let writing = std::thread::spawn(move || {
        while began.elapsed() < Duration::from_secs(60) && open(&writer) {
            std::thread::sleep(Duration::from_millis(500));
            if writer.write_all(drip.as_bytes()).is_err() {
                break;
            }
        }
    });
    let answer = receive(&mut stream);
    let took = began.elapsed();
    drop(stream);
    writing.join().unwrap();
    (answer, took)
}

fn open(stream: &TcpStream) -> bool {
    stream.take_error().is_ok_and(|error| error.is_none())
}

#[test]
fn slow_clients_are_closed_and_others_do_not_wait() {
    let place = Place::new();
    let server = place.serve();
    std::thread::scope(|scope| {
        let silent = scope.spawn(|| drip(&server, "", ""));
        let head = scope.spawn(|| drip(&server, "GET / HTTP/1.1\r\n", "X: y\r\n"));
        let body = scope.spawn(|| {
            let start = "POST /realms/master/protocol/openid-connect/token HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n";
            drip(&server, start, "a")
        });
        std::thread::sleep(Duration::from_secs(1));
        let asked = Instant::now();
        assert_eq!(server.get(DISCOVERY).status, 200);
        // Well before the first of the three is given up.
        assert!(asked.elapsed() < Duration::from_secs(3));

        for slow in [silent, head] {
            let (answer, took) = slow.join().unwrap();
            assert!(answer.is_none_or(|answer| answer.status == 408));
            assert!(took < Duration::from_secs(20), "{took:?}");
        }
        let (answer, took) = body.join().unwrap();
        assert_eq!(answer.expect("an answer").status, 408);
        let expected = Duration::from_secs(29)..Duration::from_secs(45);
        assert!(expected.contains(&took), "{took:?}");
    });
}
