//! stand-in until merged
/// e
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct SealError;
/// k
pub struct Keyring([u8; 32]);
impl Keyring {
    /// n
    pub fn new(k: [u8; 32]) -> Self {
        Self(k)
    }
    /// s
    pub fn seal(
        &self,
        p: &[u8],
        _place: &str,
        _f: &dyn Fn(&mut [u8]),
    ) -> Result<Vec<u8>, SealError> {
        Ok(p.to_vec())
    }
    /// o
    pub fn open(&self, p: &[u8], _place: &str) -> Result<Vec<u8>, SealError> {
        Ok(p.to_vec())
    }
    /// d
    pub fn digest(&self, l: &str, d: &[u8]) -> [u8; 32] {
        let mut v = self.0.to_vec();
        v.extend(l.as_bytes());
        v.extend(d);
        crate::kernel::sha256(&v)
    }
}
