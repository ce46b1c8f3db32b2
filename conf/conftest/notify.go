package conftest

// init adds what tells of events.
func init() {
	for name, e := range map[string]reloadExample{
		"global_defs notification_email":               {was: "{\na@example.org\n}", now: "{\nb@example.org\n}"},
		"global_defs notification_email_from":          {was: "a@example.org", now: "b@example.org"},
		"global_defs smtp_server":                      {was: "10.0.0.8", now: "10.0.0.9"},
		"global_defs smtp_connect_timeout":             {was: "5", now: "6"},
		"global_defs smtp_helo_name":                   {was: "a.example.org", now: "b.example.org"},
		"global_defs smtp_alert":                       {was: "off", now: "on", around: "smtp_alert_vrrp off\nsmtp_alert_checker off\n"},
		"global_defs smtp_alert_vrrp":                  {nothing: "it is that of instances which say nothing"},
		"global_defs smtp_alert_checker":               {nothing: "it is that of virtual servers which say nothing"},
		"global_defs no_email_faults":                  {was: "-", now: ""},
		"global_defs no_checker_emails":                {was: "off", now: "on"},
		"global_defs rs_init_notifies":                 {was: "off", now: "on"},
		"global_defs vrrp_notify_priority_changes":     {nothing: "it is that of instances which say nothing"},
		"global_defs fifo_write_vrrp_states_on_reload": {was: "-", now: ""},
		"vrrp_instance notify_priority_changes":        {was: "off", now: "on"},
		"vrrp_instance notify_deleted":                 {was: `"/bin/true a"`, now: `"/bin/true b"`},
		"vrrp_instance smtp_alert":                     {was: "off", now: "on"},
		"virtual_server ha_suspend":                    {was: "-", now: ""},
		"virtual_server omega":                         {was: "-", now: ""},
		"virtual_server smtp_alert":                    {was: "off", now: "on"},
		"real_server smtp_alert":                       {was: "off", now: "on"},
	} {
		reloadExamples[name] = e
	}
	for _, keyword := range []string{"notify_priority_changes", "smtp_alert"} {
		reloadExamples["vrrp_sync_group "+keyword] = reloadExample{was: "off", now: "on", around: aGroup}
	}
}

// aGroup is what each vrrp_sync_group must have.
const aGroup = "group {\nV\n}\n"
