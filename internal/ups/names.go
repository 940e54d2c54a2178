package ups

// Variables that our own code reads or writes by name. All others are just text.
const (
	StatusName         = "ups.status"
	AlarmName          = "ups.alarm"
	ChargeName         = "battery.charge"
	ChargeLowName      = "battery.charge.low"
	RuntimeName        = "battery.runtime"
	RuntimeLowName     = "battery.runtime.low"
	DriverName         = "driver.name"
	DriverVersion      = "driver.version"
	DriverInternal     = "driver.version.internal"
	DriverState        = "driver.state"
	DriverDebug        = "driver.debug"
	DriverKillpower    = "driver.flag.allow_killpower"
	DriverParameter    = "driver.parameter." // prefix
	DriverFlag         = "driver.flag."      // prefix
	BuzzwordsName      = "ups.mode.buzzwords"
	BuzzwordsNameTrial = "experimental.ups.mode.buzzwords"
)

// Tokens of ups.status.
const (
	OL      = "OL"      // on line
	OB      = "OB"      // on battery
	LB      = "LB"      // low battery
	HB      = "HB"      // high battery
	RB      = "RB"      // replace battery
	CHRG    = "CHRG"    // charging
	DISCHRG = "DISCHRG" // discharging
	BYPASS  = "BYPASS"  // on bypass
	CAL     = "CAL"     // calibrating
	OFF     = "OFF"     // load is not supplied
	OVER    = "OVER"    // overloaded
	TRIM    = "TRIM"    // lowering the voltage
	BOOST   = "BOOST"   // raising the voltage
	FSD     = "FSD"     // forced shutdown
	ALARM   = "ALARM"   // see ups.alarm
	ECO     = "ECO"     // economy mode
	WAIT    = "WAIT"    // made by upsd: connected, nothing heard yet
)
