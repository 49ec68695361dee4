// Stands in for monis.app/mlog, which the CSI driver's go.mod requires and whose
// host not every module proxy serves. Nothing that we build imports it; the module
// graph just has to load. See the replace line of the main go.mod.
module monis.app/mlog

go 1.26
