//! A mail server's door that wants a login, and leads whoever has it on to the mailbox behind.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The door.
pub struct Login {
    port: u16,
    let_in: Arc<AtomicUsize>,
}

/// What RFC 4616 has a client say.
pub fn plain(user: &str, password: &str) -> String {
    format!("\0{user}\0{password}")
}

impl Login {
    /// Before a mailbox at that port of this machine.
    pub fn before(mailbox: u16, user: &str, password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let let_in = Arc::<AtomicUsize>::default();
        let (count, wanted) = (Arc::clone(&let_in), STANDARD.encode(plain(user, password)));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (count, wanted) = (Arc::clone(&count), wanted.clone());
                std::thread::spawn(move || {
                    if greet(&client, &wanted).is_some() {
                        count.fetch_add(1, Ordering::Relaxed);
                        let _ = lead_on(client, mailbox);
                    }
                });
            }
        });
        Self { port, let_in }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections had the login.
    pub fn let_in(&self) -> usize {
        self.let_in.load(Ordering::Relaxed)
    }
}

/// Talks up to the right login; nothing where the client goes away before.
fn greet(client: &TcpStream, wanted: &str) -> Option<()> {
    let mut say = client;
    let mut lines = BufReader::new(client).lines();
    say.write_all(b"220 login\r\n").ok()?;
    loop {
        let line = lines.next()?.ok()?;
        let answer = match line.split_once(' ') {
            Some(("EHLO", _)) => "250-login\r\n250 AUTH PLAIN\r\n",
            Some(("AUTH", proof)) if proof == format!("PLAIN {wanted}") => {
                say.write_all(b"235 welcome\r\n").ok()?;
                return Some(());
            }
            Some(("AUTH", _)) => "535 no\r\n",
            _ => "530 log in first\r\n",
        };
        say.write_all(answer.as_bytes()).ok()?;
    }
}

/// Greets the mailbox in the client's place and lets the two talk.
fn lead_on(client: TcpStream, mailbox: u16) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", mailbox))?;
    server.write_all(b"EHLO door\r\n")?;
    let mut lines = BufReader::new(server.try_clone()?);
    let mut line = String::new();
    // The greeting and the answer to EHLO; the server says nothing more until it is asked.
    while !line.starts_with("250 ") {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
    }
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    let asking = std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let mut client = client;
    std::io::copy(&mut server, &mut client)?;
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = asking.join();
    Ok(())
}
