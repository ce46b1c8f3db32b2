package conf

import (
	"fmt"
	"time"

	"weir/lvs"
)

// rawGlobal is global_defs as it is written.
type rawGlobal struct {
	mail    []string
	timeout field[time.Duration]
	router  field[string]
	given
	// timeouts are lvs_timeouts.
	timeouts lvs.Timeouts
}

// globalBlock is the table of global_defs.
func globalBlock() *blockSpec {
	return &blockSpec{name: "global_defs", entries: append([]*entry{
		section("notification_email", mailBlock(), plain(func(g *rawGlobal) *rawGlobal { return g })),
		{name: "smtp_connect_timeout", slot: "smtp_connect_timeout", read: readMailTimeout},
		setting("router_id", text("a name"), func(g *rawGlobal) *field[string] { return &g.router }),
		{name: "lvs_timeouts", read: readTimeouts, expects: "[tcp SECONDS] [tcpfin SECONDS] [udp SECONDS]",
			help: "how long connections live after their last packet: in use, after a FIN, and UDP's", otherwise: "tcp 900 tcpfin 120 udp 300"},
	}, later(`
		notification_email_from smtp_server smtp_helo_name smtp_alert
		smtp_alert_vrrp smtp_alert_checker no_email_faults no_checker_emails
		checker_log_all_failures

		lvs_sync_daemon lvs_flush lvs_flush_on_stop
		lvs_flush_onstop nftables_ipvs nftables_ipvs_priority
		nftables_ipvs_start_fwmark rs_init_notifies

		vrrp_version vrrp_mcast_group4 vrrp_mcast_group6
		vrrp_garp_master_delay vrrp_garp_master_repeat
		vrrp_garp_lower_prio_delay vrrp_garp_lower_prio_repeat
		vrrp_garp_master_refresh vrrp_garp_master_refresh_repeat
		vrrp_garp_interval vrrp_gna_interval vrrp_min_garp
		vrrp_garp_extra_if vrrp_vmac_garp_intvl vrrp_down_timer_adverts
		vrrp_lower_prio_no_advert vrrp_higher_prio_send_advert
		v3_checksum_as_v2 vrrp_check_unicast_src vrrp_skip_check_adv_addr
		vrrp_strict vrrp_owner_ignore_adverts vrrp_notify_priority_changes
		vrrp_iptables vrrp_ipsets nftables nftables_priority
		nftables_ifindex nftables_counters disable_local_igmp
		dynamic_interfaces default_interface vrrp_startup_delay
		vrrp_delay_after_boot log_unknown_vrids vmac_prefix
		vmac_addr_prefix vrrp_rx_bufs_policy vrrp_rx_bufs_multiplier

		script_user enable_script_security set_supplementary_groups
		use_symlink_paths startup_script shutdown_script
		startup_script_timeout shutdown_script_timeout process_names
		process_name vrrp_process_name checker_process_name
		lvs_process_name bfd_process_name vrrp_priority checker_priority
		bfd_priority vrrp_rt_priority checker_rt_priority bfd_rt_priority
		vrrp_rlimit_rttime checker_rlimit_rttime bfd_rlimit_rttime
		vrrp_rlimit_rtime checker_rlimit_rtime bfd_rlimit_rtime
		vrrp_no_swap checker_no_swap bfd_no_swap vrrp_cpu_affinity
		checker_cpu_affinity bfd_cpu_affinity max_auto_priority
		min_auto_priority_delay umask random_seed include_check
		reload_check_config reload_time_file reload_repeat reload_file
		config_save_dir tmp_config_directory data_use_instance
		state_dump_file stats_dump_file json_dump_file json_version
		iproute_usr_dir iproute_etc_dir
		vrrp_netlink_cmd_rcv_bufs vrrp_netlink_monitor_rcv_bufs
		lvs_netlink_cmd_rcv_bufs lvs_netlink_monitor_rcv_bufs
		process_monitor_rcv_bufs vrrp_netlink_cmd_rcv_bufs_force
		vrrp_netlink_monitor_rcv_bufs_force lvs_netlink_cmd_rcv_bufs_force
		lvs_netlink_monitor_rcv_bufs_force process_monitor_rcv_bufs_force

		notify_fifo notify_fifo_script vrrp_notify_fifo
		vrrp_notify_fifo_script lvs_notify_fifo lvs_notify_fifo_script
		fifo_write_vrrp_states_on_reload enable_snmp_vrrp
		enable_snmp_keepalived enable_snmp_checker enable_snmp_rfc
		enable_snmp_rfcv2 enable_snmp_rfcv3 enable_traps snmp_socket
		snmp_vs_stats_update_interval snmp_rs_stats_update_interval
		enable_dbus dbus_service_name dbus_no_interface_name
	`)...)}
}

// mailBlock is the list of notification_email: addresses, also several on a
// line.
func mailBlock() *blockSpec {
	const expects = "a mail address"
	return list("notification_email", expects, func(r *reader, st *statement, g *rawGlobal) {
		for i := range st.words {
			if address, ok := word(r, st, i, text(expects)); ok {
				g.mail = append(g.mail, address)
			}
		}
	})
}

// readMailTimeout takes 0 as keepalived does: a second.
func readMailTimeout(r *reader, st *statement, into any) {
	d, ok := one(r, st, wholeSeconds(0, maxWhole))
	if !ok {
		return
	}
	if d == 0 {
		d = time.Second
		r.warnAt(st.words[1].place, "raised", "smtp_connect_timeout 0 is read as 1", "write the seconds you mean")
	}
	into.(*rawGlobal).timeout = field[time.Duration]{v: d, at: st.place(), set: true}
}

// readTimeouts takes what "ipvsadm --set" does, each time under its name.
func readTimeouts(r *reader, st *statement, into any) {
	g := into.(*rawGlobal)
	times := map[string]*time.Duration{"tcp": &g.timeouts.Established, "tcpfin": &g.timeouts.FinWait, "udp": &g.timeouts.UDP}
	if len(st.words) == 1 {
		r.errorAt(st.place(), "lvs_timeouts lacks its times", "expected at least one of tcp, tcpfin and udp, each with its seconds")
	}
	for i := 1; i < len(st.words); i += 2 {
		to := times[st.words[i].text]
		if to == nil {
			r.errorAt(st.words[i].place, fmt.Sprintf("lvs_timeouts: unknown word %s", quote(st.words[i].text)), "expected tcp, tcpfin or udp, each with its seconds")
			return
		}
		d, ok := after(r, st, i, wholeSeconds(0, maxWhole))
		if !ok {
			return
		}
		*to = d
		g.note("lvs_timeouts "+st.words[i].text, st.words[i+1].place)
	}
}
