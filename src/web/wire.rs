//! What the system does for a listener's connections (reliability R-23).

use std::io;
use std::net::TcpListener;

use socket2::SockRef;

use crate::config::limits;

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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

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
