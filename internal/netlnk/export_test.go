package netlnk

// Asked is for how many routes the Resolver has asked the kernel.
func (r *Resolver) Asked() int { return int(r.sequence) }
