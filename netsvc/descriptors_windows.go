package netsvc

// maxSenders is the setting; Windows bounds no handles, so the default is httpapi's.
func maxSenders(setting int) int { return setting }
