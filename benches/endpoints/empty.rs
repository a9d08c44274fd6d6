//! The physical limit of an HTTP exchange: an actix server that answers nothing at all, in a child
//! process of this program, so that it shares the machine with the generator as the server does.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context, Result};

/// The child process, ended with this value.
pub struct EmptyServer {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl EmptyServer {
    /// Starts this same program as a server of empty answers.
    pub fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--serve-empty")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the empty server")?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line
            .trim()
            .parse()
            .context("the empty server did not name its address")?;
        Ok(Self { child, address })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for EmptyServer {
    fn drop(&mut self) {
        // Both fail only where the child has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the child does: prints its address and answers until its parent is gone.
pub fn serve() -> Result<()> {
    // The pipe ends with the parent, however that ended.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(|| {
            App::new().route("/", web::get().to(|| async { HttpResponse::Ok().finish() }))
        })
        .bind(("127.0.0.1", 0))?;
        let address = server
            .addrs()
            .first()
            .copied()
            .context("no address bound")?;
        println!("{address}");
        server.run().await?;
        Ok(())
    })
}
