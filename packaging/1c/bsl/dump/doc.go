// Package dump reads an extension in the format that the Configurator dumps (2.13) and
// checks it by fifteen rules, which stand where their functions are:
//
//	 1  well-formed, roots and namespaces, one version     files.go
//	 2  each object has its files, each file its object    files.go
//	 3  names                                              objects.go
//	 4  uuids                                              objects.go
//	 5  the configuration's own properties                 objects.go
//	 6  nothing of another configuration                   objects.go
//	 7  generated types                                    objects.go
//	 8  flags of common modules                            objects.go
//	 9  forms                                              forms.go
//	10  what strings in modules name                       modules.go
//	11  rights                                             roles.go
//	12  sections                                           roles.go
//	13  the bundle of the add-in                           template.go
//	14  modules, by package lint                           modules.go
//	15  the contract: what other people's code calls       contract.go
//
// They were gathered from dumps that a platform has made. What passes them is consistent
// in itself; that a platform loads it, only a platform can prove. The package must not
// know what the extension does.
package dump
