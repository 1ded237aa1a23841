module github.com/godwitmq/godwit

go 1.26
