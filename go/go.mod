module github.com/promwrite/promwrite/go

go 1.24
