package conf

import (
	"math"
	"strconv"
	"strings"
	"time"

	"weir/conf/text"
)

// Processes is what stands in global_defs about processes, scripts and who they
// run as.
type Processes struct {
	ScriptUser            Script        `json:"script_user"`
	ScriptSecurity        bool          `json:"enable_script_security"`
	SupplementaryGroups   bool          `json:"set_supplementary_groups"`
	SymlinkPaths          bool          `json:"use_symlink_paths"`
	StartupScript         Script        `json:"startup_script"`
	ShutdownScript        Script        `json:"shutdown_script"`
	StartupTimeout        time.Duration `json:"startup_script_timeout"`
	ShutdownTimeout       time.Duration `json:"shutdown_script_timeout"`
	ProcessNames          bool          `json:"process_names"`
	ProcessName           string        `json:"process_name"`
	VRRPProcessName       string        `json:"vrrp_process_name"`
	CheckerProcessName    string        `json:"checker_process_name"`
	BFDProcessName        string        `json:"bfd_process_name"`
	VRRP                  Scheduling    `json:"vrrp"`
	VRRPRTPriority        int           `json:"vrrp_rt_priority"` // of the thread that sends advertisements; 0 is none given
	Checker               Scheduling    `json:"checker"`
	BFD                   Scheduling    `json:"bfd"`
	MaxAutoPriority       int           `json:"max_auto_priority"`
	MinAutoDelay          int           `json:"min_auto_priority_delay"`
	Umask                 uint32        `json:"umask"`
	RandomSeed            uint32        `json:"random_seed"`
	VRRPCommandBuffers    Buffers       `json:"vrrp_netlink_cmd"`
	VRRPMonitorBuffers    Buffers       `json:"vrrp_netlink_monitor"`
	LVSCommandBuffers     Buffers       `json:"lvs_netlink_cmd"`
	LVSMonitorBuffers     Buffers       `json:"lvs_netlink_monitor"`
	ProcessMonitorBuffers Buffers       `json:"process_monitor"`
}

// Scheduling is how the kernel schedules one of keepalived's processes.
type Scheduling struct {
	Priority    int   `json:"priority"`
	RTPriority  int   `json:"rt_priority"`
	RLimitRT    int   `json:"rlimit_rttime"`
	NoSwap      bool  `json:"no_swap"`
	CPUAffinity []int `json:"cpu_affinity"`
}

// Buffers are the receive buffers of a netlink socket.
type Buffers struct {
	Bytes int  `json:"rcv_bufs"`
	Force bool `json:"rcv_bufs_force"`
}

// oneProcess says why nothing is to be set for keepalived's processes.
const oneProcess = "it is one process, which the system's own means schedule (see systemd.exec)"

func processEntries() []*entry {
	type G = Global
	entries := []*entry{
		onOff("use_symlink_paths", func(g *G) *bool { return &g.SymlinkPaths }, "run scripts by the paths that are written, not by those that links lead to"),
		custom("umask", "an octal number, or bits such as IRWXG|IRWXO", "the mask of FIFOs and of the files that scripts make, not of weir's own files", readUmask, begins(func(g *G) *uint32 { return &g.Umask }, 0o177), initially("0177")),
		script("startup_script", func(g *G) *Script { return &g.StartupScript }, "runs once before everything else", reloads(Restart)),
		script("shutdown_script", func(g *G) *Script { return &g.ShutdownScript }, "runs once after everything else"),
		value("startup_script_timeout", wholeSeconds(time.Second, 1000*time.Second), func(g *G) *time.Duration { return &g.StartupTimeout }, "how long startup_script may run", initially(10*time.Second), reloads(Restart)),
		value("shutdown_script_timeout", wholeSeconds(time.Second, 1000*time.Second), func(g *G) *time.Duration { return &g.ShutdownTimeout }, "how long shutdown_script may run", initially(10*time.Second)),
		custom("script_user", "USER [[:]GROUP]", "the user and group of scripts that name none", readScriptUser, otherwise("keepalived_script if there is one, or weir's own"), example("nobody", "nobody daemon")),
		present("enable_script_security", func(g *G) *bool { return &g.ScriptSecurity }, "run nothing as root that others may write"),
		present("set_supplementary_groups", func(g *G) *bool { return &g.SupplementaryGroups }, "scripts have all groups of their user"),
	}
	checker := value("checker_process_name", nonEmpty("a name"), func(g *G) *string { return &g.CheckerProcessName }, "the name of the checkers' process")
	entries = append(entries, ignored(oneProcess,
		present("process_names", func(g *G) *bool { return &g.ProcessNames }, "processes have names of their own"),
		value("process_name", nonEmpty("a name"), func(g *G) *string { return &g.ProcessName }, "the name of the process"),
		value("vrrp_process_name", nonEmpty("a name"), func(g *G) *string { return &g.VRRPProcessName }, "the name of VRRP's process"),
		checker, synonym("lvs_process_name", checker),
		value("bfd_process_name", nonEmpty("a name"), func(g *G) *string { return &g.BFDProcessName }, "the name of BFD's process"),
		optional("max_auto_priority", number(-1, 99), 99, func(g *G) *int { return &g.MaxAutoPriority }, "the real-time priority up to which a late process is raised", initially(0)),
		value("min_auto_priority_delay", number(1, 10_000_000), func(g *G) *int { return &g.MinAutoDelay }, "how late a process has to be before its priority is raised, in microseconds", initially(1_000_000)),
	)...)
	entries = append(entries, value("vrrp_rt_priority", number(1, 99), func(g *G) *int { return &g.VRRPRTPriority }, "the real-time priority of the thread that sends advertisements"))
	entries = append(entries, schedulingEntries("vrrp", func(g *G) *Scheduling { return &g.VRRP })...)
	entries = append(entries, schedulingEntries("checker", func(g *G) *Scheduling { return &g.Checker })...)
	entries = append(entries, schedulingEntries("bfd", func(g *G) *Scheduling { return &g.BFD })...)
	entries = append(entries, bufferEntries("vrrp_netlink_cmd", func(g *G) *Buffers { return &g.VRRPCommandBuffers })...)
	entries = append(entries, bufferEntries("vrrp_netlink_monitor", func(g *G) *Buffers { return &g.VRRPMonitorBuffers })...)
	entries = append(entries, bufferEntries("lvs_netlink_cmd", func(g *G) *Buffers { return &g.LVSCommandBuffers })...)
	entries = append(entries, bufferEntries("lvs_netlink_monitor", func(g *G) *Buffers { return &g.LVSMonitorBuffers })...)
	return append(entries, bufferEntries("process_monitor", func(g *G) *Buffers { return &g.ProcessMonitorBuffers })...)
}

// schedulingEntries are the keywords of one process that have nothing to act on.
func schedulingEntries(process string, at func(*Global) *Scheduling) []*entry {
	type G = Global
	limit := value(process+"_rlimit_rttime", number(2, math.MaxInt32), func(g *G) *int { return &at(g).RLimitRT }, "how long the process may run in real time without a pause, in microseconds", initially(10000))
	var entries []*entry
	if process != "vrrp" {
		entries = append(entries, value(process+"_rt_priority", number(1, 99), func(g *G) *int { return &at(g).RTPriority }, "the real-time priority of the process"))
	}
	return ignored(oneProcess, append(entries,
		value(process+"_priority", number(-20, 19), func(g *G) *int { return &at(g).Priority }, "the nice value of the process"),
		limit, synonym(process+"_rlimit_rtime", limit),
		present(process+"_no_swap", func(g *G) *bool { return &at(g).NoSwap }, "the memory of the process is never swapped out"),
		many(process+"_cpu_affinity", number(0, 4095), func(g *G) *[]int { return &at(g).CPUAffinity }, "the CPUs that the process runs on"),
	)...)
}

// bufferEntries are the keywords of one netlink socket.
func bufferEntries(socket string, at func(*Global) *Buffers) []*entry {
	type G = Global
	return ignored("its netlink sockets read again what was lost",
		value(socket+"_rcv_bufs", number(1, math.MaxInt32), func(g *G) *int { return &at(g).Bytes }, "the size of a netlink receive buffer", otherwise("the kernel's")),
		onOff(socket+"_rcv_bufs_force", func(g *G) *bool { return &at(g).Force }, "set the size beyond the system's limit"),
	)
}

func readScriptUser(r *reader, st *text.Statement, g *Global) bool {
	if len(st.Words) == 1 {
		r.errorAt(st.Place(), "script_user lacks its user", "expected USER [GROUP]")
		return false
	}
	return g.ScriptUser.user(r, st, 1)
}

// permissionBits are the names of a file mode's bits, as stat(2) has them.
var permissionBits = map[string]uint32{
	"IRUSR": 0o400, "IWUSR": 0o200, "IXUSR": 0o100, "IRWXU": 0o700,
	"IRGRP": 0o040, "IWGRP": 0o020, "IXGRP": 0o010, "IRWXG": 0o070,
	"IROTH": 0o004, "IWOTH": 0o002, "IXOTH": 0o001, "IRWXO": 0o007,
}

func readUmask(r *reader, st *text.Statement, g *Global) bool {
	if len(st.Words) > 2 && strings.Trim(st.Words[1].Text, "0123456789") != "" {
		// The bits may stand apart.
		joined := st.Words[1]
		joined.Text = strings.Join(texts(st.Words[1:]), "")
		joined.Place = joined.Place.Through(st.Words[len(st.Words)-1].Place)
		st = &text.Statement{Words: []text.Token{st.Words[0], joined}}
	}
	mask, ok := one(r, st, kind[uint32]{"an octal number, or bits such as IRWXG | IRWXO", func(word string) (mask uint32, c *complaint) {
		if n, err := strconv.ParseUint(word, 0, 32); err == nil && n <= 0o777 {
			return uint32(n), nil
		}
		for bit := range strings.SplitSeq(word, "|") {
			b, known := permissionBits[strings.TrimSpace(bit)]
			if !known {
				return 0, complain("%s is no mask", text.Quote(word))
			}
			mask |= b
		}
		return mask, nil
	}})
	g.Umask = mask
	return ok
}
