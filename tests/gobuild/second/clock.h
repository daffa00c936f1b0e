/* Makes the calling thread's clock fail, which Rust's std answers with a panic. */
void clock_fails(int yes);
