//! A wire between clients and a server that keeps every answer that goes over it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

use parking_lot::Mutex;

/// What went over one connection.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The first line of what was asked.
    pub asked: String,
    /// Everything that was answered, headers and body.
    pub answered: String,
}

/// The wire. Clients that keep no connection make one answer of each [`Seen`].
pub struct Tap {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Tap {
    /// Leads to that port of this machine.
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", server)) {
                        carry(client, server, &kept);
                    }
                });
            }
        });
        Self { port, seen }
    }

    /// Where it is reached.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

fn carry(client: TcpStream, server: TcpStream, kept: &Mutex<Vec<Seen>>) {
    let (from_client, to_server) = (
        client.try_clone().expect("a stream"),
        server.try_clone().expect("a stream"),
    );
    let asking = std::thread::spawn(move || copy(from_client, to_server));
    let answered = copy(server, client);
    let asked = asking.join().unwrap_or_default();
    let asked = String::from_utf8_lossy(&asked);
    kept.lock().push(Seen {
        asked: asked.lines().next().unwrap_or_default().to_owned(),
        answered: String::from_utf8_lossy(&answered).into_owned(),
    });
}

/// Carries bytes on until there are no more, and answers them.
fn copy(mut from: TcpStream, mut to: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 16384];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        all.extend_from_slice(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
    all
}
