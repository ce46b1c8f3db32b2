package conf

// SMTPCheck is what SMTP_CHECK has of its own.
type SMTPCheck struct {
	Helo string `json:"helo_name"`
}

// smtpCheck is the keyword of SMTP_CHECK.
func smtpCheck() *entry {
	begin := func(c *rawCheck) { c.SMTP = &SMTPCheck{} }
	return ownSection(CheckSMTP, "a mail server greets", begin, targetEntries(), smtpEntries()...)
}

func smtpEntries() []*entry {
	type C = rawCheck
	host := &blockSpec{name: "host", entries: anew(targetEntries()...)}
	retry := &entry{name: "nb_get_retry", slot: "retry", read: readOldRetry, help: "obsolete: see retry"}
	return []*entry{
		value("helo_name", nonEmpty("a host name"), func(c *C) *string { return &c.SMTP.Helo }, "the name in HELO", initially("smtpchecker.keepalived.org"), example("weir.example.org", "example.org")),
		section("host", host, "obsolete: its keywords stand in SMTP_CHECK itself", plain(func(c *C) *C { return c })),
		retry,
	}
}
