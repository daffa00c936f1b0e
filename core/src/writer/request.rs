//! Many series in one call.
use super::{Series, Writer};
use crate::error::{Error, Result};
use crate::wire::proto;
use prost::Message;

impl Writer {
    /// From packed bytes.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn push_request(&self, request: &[u8]) -> Result<usize> {
        let request = proto::WriteRequest::decode(request)
            .map_err(|e| Error::invalid("packed", "bytes", e.to_string()))?;
        let mut batch = self.batch()?;
        for s in &request.timeseries {
            let name = s.labels.iter().find(|l| l.name == "__name__").map_or("", |l| &l.value);
            for x in &s.samples {
                let labels = s.labels.iter().filter(|l| l.name != "__name__").map(|l| (&*l.name, &*l.value));
                let at = (x.timestamp != i64::MIN).then_some(x.timestamp);
                batch.add(name, labels, x.value, at, None)?;
            }
        }
        let n = batch.len();
        batch.commit()?;
        Ok(n)
    }
    /// From packed bytes.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn series_from_labels(&self, labels: &[u8]) -> Result<Series> {
        let s = proto::TimeSeries::decode(labels)
            .map_err(|e| Error::invalid("labels", "bytes", e.to_string()))?;
        let name = s.labels.iter().find(|l| l.name == "__name__").map_or("", |l| &l.value);
        let labels: Vec<_> =
            s.labels.iter().filter(|l| l.name != "__name__").map(|l| (&*l.name, &*l.value)).collect();
        self.series(name, &labels, None)
    }
}
