module gonut

go 1.26
