//! A mailbox that receives what a realm sends, by real SMTP.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use vestibule::demo::mailbox::Received;

/// A running mail server; it stops when this is dropped.
pub struct Mailbox {
    inner: vestibule::demo::mailbox::Mailbox,
    port: u16,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Mailbox {
    /// Starts one on a free port, on a thread of its own.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let (hand_over, handed_over) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime for the mailbox");
            runtime.block_on(async {
                let inner =
                    vestibule::demo::mailbox::Mailbox::start(listener).expect("the mailbox starts");
                let _ = hand_over.send(inner);
                let _ = stopped.await;
            });
        });
        Self {
            inner: handed_over.recv().expect("the mailbox started"),
            port,
            stop: Some(stop),
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The mailbox itself, for an app that shows it to people.
    pub fn shown(&self) -> vestibule::demo::mailbox::Mailbox {
        self.inner.clone()
    }

    /// Everything that came for an address, newest first.
    pub fn to(&self, address: &str) -> Vec<Arc<Received>> {
        let mut mails = self.inner.messages();
        mails.retain(|mail| mail.envelope.to.iter().any(|to| to == address));
        mails
    }

    /// The newest mail to an address; waits for it for half a minute.
    pub async fn expect(&self, address: &str) -> Arc<Received> {
        for _ in 0..600 {
            if let Some(mail) = self.to(address).into_iter().next() {
                return mail;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no mail to {address}");
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}
