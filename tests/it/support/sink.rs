//! A mail server that writes down what came, and can keep the answer back that would say so: for what happens to a
//! node between the content of a mail and its answer. It refuses some, and falls silent over others, where it is told.
//!
//! Each node of a test sends to a door of its own, so that the one whose answer is kept back is known; all doors lead
//! to one ledger. What came counts as received whether it was answered or not, as with a real server.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use mail_parser::MessageParser;
use parking_lot::Mutex;

/// A mail that came.
#[derive(Clone)]
pub struct Arrival {
    /// When its last line came.
    pub at: Instant,
    /// Whom the envelope names.
    pub to: String,
    raw: Arc<Vec<u8>>,
}

impl Arrival {
    /// Its `Message-ID`, without brackets.
    pub fn message_id(&self) -> String {
        let mail = MessageParser::default().parse(&*self.raw).expect("a mail");
        mail.message_id().expect("a Message-ID").to_owned()
    }

    /// The path of the link in its plain text.
    pub fn link(&self) -> String {
        let mail = MessageParser::default().parse(&*self.raw).expect("a mail");
        let text = mail.body_text(0).expect("a part of plain text");
        let start = text.find("/realms/").expect("a link");
        let link = text[start..].split_whitespace().next().expect("its end");
        assert!(link.contains("/login-actions/link/"), "{link}");
        link.to_owned()
    }
}

/// Everything that came, by whatever door.
#[derive(Default)]
pub struct Ledger {
    arrivals: Mutex<Vec<Arrival>>,
}

impl Ledger {
    /// What came so far, in order.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().clone()
    }

    /// How many mails came.
    pub fn count(&self) -> usize {
        self.arrivals.lock().len()
    }

    /// Opens a door on a free port.
    pub fn door(self: &Arc<Self>) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared {
            ledger: Arc::clone(self),
            trap: Mutex::new(None),
            manners: Mutex::default(),
            count: Mutex::new(0),
        });
        let inner = Arc::clone(&shared);
        // Ends with the process: a thread that waits for connections costs nothing.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&inner);
                std::thread::spawn(move || Conversation::of(stream, shared).hold());
            }
        });
        Door { port, shared }
    }
}

/// How a door treats some mails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// 550 to the recipient.
    Refuses,
    /// Takes the content and hangs up without an answer.
    HangsUp,
}

struct Shared {
    ledger: Arc<Ledger>,
    trap: Mutex<Option<Sender<Kept>>>,
    /// By what an address begins with.
    manners: Mutex<Vec<(String, Manner)>>,
    count: Mutex<usize>,
}

impl Shared {
    fn has(&self, address: &str, manner: Manner) -> bool {
        let manners = self.manners.lock();
        let mut found = manners.iter().filter(|(_, one)| *one == manner);
        found.any(|(prefix, _)| address.starts_with(prefix.as_str()))
    }
}

/// Where one node hands its mail over.
pub struct Door {
    port: u16,
    shared: Arc<Shared>,
}

/// A mail that came and was not answered.
pub struct Kept {
    /// Whom it is for.
    pub to: String,
    answer: Sender<()>,
}

impl Kept {
    /// Answers after all.
    pub fn answer(self) {
        let _ = self.answer.send(());
    }
}

impl Door {
    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many mails came by this door.
    pub fn count(&self) -> usize {
        *self.shared.count.lock()
    }

    /// Refuses everybody whose address begins so, and repeats it, as servers do.
    pub fn refuse(&self, prefix: &str) {
        let rule = (prefix.to_owned(), Manner::Refuses);
        self.shared.manners.lock().push(rule);
    }

    /// Hangs up after the content of mails to whoever's address begins so: nobody knows whether it took them.
    pub fn hang_up_on(&self, prefix: &str) {
        let rule = (prefix.to_owned(), Manner::HangsUp);
        self.shared.manners.lock().push(rule);
    }

    /// Is kind to everybody again.
    pub fn be_kind(&self) {
        self.shared.manners.lock().clear();
    }

    /// Keeps the answer to the next mail back, and hands the mail to whoever waits at the receiver.
    pub fn keep_next(&self) -> Receiver<Kept> {
        let (tell, told) = channel();
        self.shared.trap.lock().replace(tell);
        told
    }
}

struct Conversation {
    reader: BufReader<TcpStream>,
    shared: Arc<Shared>,
}

impl Conversation {
    fn of(stream: TcpStream, shared: Arc<Shared>) -> Self {
        let _ = stream.set_nodelay(true);
        Self {
            reader: BufReader::new(stream),
            shared,
        }
    }

    fn say(&mut self, text: &str) -> bool {
        let line = format!("{text}\r\n");
        self.reader.get_mut().write_all(line.as_bytes()).is_ok()
    }

    /// The next line without its end; `None` where the other side has gone.
    fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        let read = self.reader.read_until(b'\n', &mut line).ok()?;
        line.strip_suffix(b"\r\n")
            .filter(|_| read > 0)
            .map(<[u8]>::to_vec)
    }

    fn hold(mut self) {
        let mut to = String::new();
        if !self.say("220 sink ESMTP") {
            return;
        }
        while let Some(line) = self.line() {
            let line = String::from_utf8_lossy(&line).into_owned();
            let verb = line.get(..4).unwrap_or(&line).to_ascii_uppercase();
            let answered = match verb.as_str() {
                "EHLO" => self.say("250-sink\r\n250 8BITMIME"),
                "HELO" | "MAIL" | "RSET" | "NOOP" => self.say("250 ok"),
                "RCPT" => {
                    let address = line.split(['<', '>']).nth(1).unwrap_or_default();
                    address.clone_into(&mut to);
                    if self.shared.has(&to, Manner::Refuses) {
                        self.say(&format!("550 5.1.1 <{to}>: no such user here"))
                    } else {
                        self.say("250 ok")
                    }
                }
                "DATA" => {
                    self.say("354 go on") && self.content(&to).is_some() && self.say("250 taken")
                }
                "QUIT" => {
                    self.say("221 bye");
                    false
                }
                _ => self.say("502 no"),
            };
            if !answered {
                return;
            }
        }
    }

    /// Takes the content down; `None` where the other side went away, before its end or before its answer.
    fn content(&mut self, to: &str) -> Option<()> {
        let mut raw = Vec::new();
        loop {
            let line = self.line()?;
            if line == b"." {
                break;
            }
            raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            raw.extend_from_slice(b"\r\n");
        }
        let arrival = Arrival {
            at: Instant::now(),
            to: to.to_owned(),
            raw: Arc::new(raw),
        };
        self.shared.ledger.arrivals.lock().push(arrival);
        *self.shared.count.lock() += 1;
        if self.shared.has(to, Manner::HangsUp) {
            return None;
        }
        let trap = self.shared.trap.lock().take();
        match trap {
            Some(tell) => self.keep(to, &tell),
            None => Some(()),
        }
    }

    /// Waits for the word to answer, or for the other side to go.
    fn keep(&mut self, to: &str, tell: &Sender<Kept>) -> Option<()> {
        let (answer, word) = channel();
        let kept = Kept {
            to: to.to_owned(),
            answer,
        };
        if tell.send(kept).is_err() {
            return Some(()); // Nobody waits for it any more.
        }
        let stream = self.reader.get_ref();
        stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .ok()?;
        loop {
            match word.recv_timeout(Duration::from_millis(20)) {
                Ok(()) => break,
                // Whoever waited has dropped it: there will be no answer, and only the other side can end this.
                Err(RecvTimeoutError::Disconnected) => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            match stream.peek(&mut [0]) {
                Ok(0) => return None,
                Err(error)
                    if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return None;
                }
                Ok(_) | Err(_) => {}
            }
        }
        stream.set_read_timeout(None).ok()
    }
}
