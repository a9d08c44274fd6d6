//! One connection of HTTP/2: how many requests are open on it, and its end.
//!
//! The HTTP library sets no limit of streams and closes single streams alone. So a connection is remembered as it is
//! made ([`remember`], called by the listener), and [`super::intake`] counts its requests and closes it where one never
//! arrives whole (reliability R-23). HTTP/1.1 has one request at a time and needs none of this.

use std::any::Any;
use std::io;
use std::net::{Shutdown, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use socket2::{SockRef, Socket};

use crate::config::limits;

/// A connection of HTTP/2.
#[derive(Clone)]
pub struct Wire(Arc<Inner>);

struct Inner {
    socket: Socket,
    open: AtomicUsize,
    together: Together,
}

/// How many requests are open on all connections of HTTP/2 of a server.
#[derive(Clone, Default)]
pub struct Together(Arc<AtomicUsize>);

/// One of the requests that may be open on a connection; given back when this is dropped.
pub struct Turn(Wire);

/// Remembers a connection of HTTP/2, for the handler that the listener calls with each new one.
pub fn remember(together: &Together, io: &dyn Any, data: &mut Extensions) {
    let Some(tls) = io.downcast_ref::<TlsStream<TcpStream>>() else {
        return;
    };
    let (tcp, session) = tls.get_ref();
    if session.alpn_protocol() != Some(b"h2") {
        return;
    }
    match SockRef::from(tcp).try_clone() {
        Ok(socket) => {
            data.insert(Wire::of(socket, together.clone()));
        }
        Err(error) => tracing::warn!(error = %error, "a connection cannot be watched"),
    }
}

/// Lets the system close connections whose client takes nothing of what was written to it.
///
/// # Errors
/// The system refuses the option.
#[cfg(target_os = "linux")]
pub fn limit_unread(listener: &TcpListener) -> io::Result<()> {
    // Sockets that are accepted have it from the one that listens.
    SockRef::from(listener).set_tcp_user_timeout(Some(limits::UNREAD))
}

/// Other systems than Linux have no such option.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn limit_unread(_: &TcpListener) -> io::Result<()> {
    Ok(())
}

impl Wire {
    fn of(socket: Socket, together: Together) -> Self {
        let open = AtomicUsize::new(0);
        Self(Arc::new(Inner {
            socket,
            open,
            together,
        }))
    }

    /// A request more, unless too many are open: on this connection, or on all of them, where this one has a few.
    pub fn turn(&self) -> Option<Turn> {
        let before = self.0.open.fetch_add(1, Ordering::Relaxed);
        let together = self.0.together.0.fetch_add(1, Ordering::Relaxed);
        // Given back at once where there is none left.
        let turn = Turn(self.clone());
        let room = together < limits::STREAMS_TOGETHER || before < limits::STREAMS_ALWAYS;
        (room && before < limits::STREAMS).then_some(turn)
    }

    /// Closes the connection, with everything that runs on it.
    pub fn close(&self) {
        // It may be closed already.
        let _ = self.0.socket.shutdown(Shutdown::Both);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.0.together.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body, whose request is open until the last of it was taken.
pub struct Held {
    /// The body.
    pub body: BoxBody,
    /// The request's turn.
    pub turn: Turn,
}

impl MessageBody for Held {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;

    fn wire(together: &Together) -> Wire {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        Wire::of(socket, together.clone())
    }

    #[test]
    fn a_few_requests_are_always_there_for_a_connection() {
        let together = Together::default();
        let crowd: Vec<Wire> = (0..limits::STREAMS_TOGETHER / limits::STREAMS)
            .map(|_| wire(&together))
            .collect();
        let mut held: Vec<Turn> = Vec::new();
        for one in &crowd {
            held.extend(std::iter::from_fn(|| one.turn()));
        }
        assert_eq!(held.len(), limits::STREAMS_TOGETHER);
        let late = wire(&together);
        let few: Vec<Turn> = std::iter::from_fn(|| late.turn()).collect();
        assert_eq!(few.len(), limits::STREAMS_ALWAYS);
        drop(held);
        assert!(late.turn().is_some(), "there is room again");
    }

    #[test]
    fn a_connection_has_so_many_requests_at_once_and_gets_them_back() {
        let wire = wire(&Together::default());
        let mut turns: Vec<Turn> = std::iter::from_fn(|| wire.turn()).collect();
        assert_eq!(turns.len(), limits::STREAMS);
        assert!(wire.turn().is_none());
        turns.pop();
        assert!(wire.turn().is_some(), "and is dropped again");
        turns.push(wire.turn().unwrap());
        assert!(wire.turn().is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_nobody_reads_is_given_up_by_the_system() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        limit_unread(&listener).unwrap();
        let address = listener.local_addr().unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let found = SockRef::from(&accepted).tcp_user_timeout().unwrap();
        assert_eq!(found, Some(limits::UNREAD));
    }
}
